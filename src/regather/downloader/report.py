"""What a download tells of itself: snapshots while it runs, a report at its end."""

from __future__ import annotations

from collections import deque
from typing import Literal

from msgspec import Struct

Phase = Literal["asking", "checking", "downloading", "finishing"]
SourceState = Literal["active", "idle", "waiting", "unused", "corrupt", "failed"]


class SourceProgress(Struct, frozen=True):
    """The state of one source."""

    url: str
    state: SourceState
    """active: sends; idle: has nothing to send; waiting: failed, will be asked again; unused: has
    no fragment that is needed; corrupt: sent wrong bytes, is the last resort; failed: gave up."""
    received: int
    """Bytes so far."""
    rate: float
    """Bytes a second, lately."""
    connections: int
    errors: int
    failures: int = 0
    """In a row; while it waits, the number of the next retry."""
    last_error: str = ""
    pause: float = 0.0
    """While it waits, how many seconds are left until it is asked again."""
    latency: float = 0.0
    """Seconds from a request to its first byte, about; 0 while unknown."""


class Progress(Struct, frozen=True):
    """The state of a download. Sizes are in bytes, times in seconds, rates in bytes per second."""

    phase: Phase
    """asking: requests the manifest, or sizes of plain fragments; name and size are unknown."""
    name: str
    size: int
    done: int
    """Bytes verified and written, those of earlier runs included."""
    rate: float
    eta: float | None
    """The remaining seconds at this rate; None while unknown."""
    seconds: float
    """Seconds since the start."""
    sources: tuple[SourceProgress, ...]
    retries: int = 0
    """The number of consecutive failures allowed for a source (Settings.retries)."""
    notes: tuple[str, ...] = ()
    """Notes for people so far: unused mirrors, nothing to verify with."""


class SourceReport(Struct, frozen=True):
    """The contribution of one source to a download."""

    url: str
    received: int
    """Bytes of bodies from this source."""
    useful: int
    """Bytes of pieces that this source delivered first."""
    share: float
    """The share of the bytes that this run wrote, from 0 to 1."""
    rate: float
    """``received`` divided by the time of the whole run, in bytes per second."""
    errors: int
    corrupt: int
    kinds: dict[str, int]
    """Errors by kind."""
    last_error: str
    state: SourceState


class DownloadReport(Struct, frozen=True):
    """The result of a download. Sizes are in bytes, times in seconds."""

    path: str
    name: str
    size: int
    digest: str
    """The digest of the file, in hexadecimal; empty if it was not verified."""
    verified: bool
    """Whether all bytes were compared with hashes that did not come from the sources."""
    resumed: int
    """Bytes that already existed: of an earlier run, in correct files, or in older versions."""
    received: int
    """Bytes from all sources, unused ones included."""
    seconds: float
    """The seconds of this run."""
    rate: float
    """Bytes per second that this run wrote, without ``resumed``."""
    decoded: int = 0
    """Rows of erasure sets with pieces computed from parity."""
    sources: tuple[SourceReport, ...] = ()
    verified_by: str = ""
    """The kind of the hashes: ``manifest``, ``sha256``, ``sha1 of the pieces``, or empty."""
    signed_by: str = ""
    """The id of the trusted key that signed the manifest; empty: no signature was required."""
    notes: tuple[str, ...] = ()
    """Notes for people: unused mirrors, nothing to verify with."""
    files: int | None = None
    """The number of files of a folder; None for a single file."""
    content: int | None = None
    """The bytes of these files; ``size`` is that of the packed file. None for a single file."""
    reused: int = 0
    """The part of ``resumed`` that came from an older version of the file or folder."""
    kept: bool = False
    """Whether the file was already complete and correct: nothing was downloaded or written."""


class RateMeter:
    """Rate over the last few seconds, for people to read."""

    def __init__(self, window: float = 3.0) -> None:
        """``window`` is in seconds."""
        self._window = window
        self._points: deque[tuple[float, int]] = deque()

    def read(self, now: float, total: int) -> float:
        """Note that ``total`` bytes came up to ``now``; return the rate in bytes a second."""
        self._points.append((now, total))
        while len(self._points) > 2 and self._points[0][0] < now - self._window:
            self._points.popleft()
        (since, before) = self._points[0]
        return (total - before) / (now - since) if now > since else 0.0
