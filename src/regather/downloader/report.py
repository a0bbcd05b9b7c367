"""What a download tells of itself: snapshots while it runs, a report at its end."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal

SourceState = Literal["active", "idle", "waiting", "unused", "corrupt", "failed"]


@dataclass(frozen=True, slots=True)
class SourceProgress:
    """One source at a moment."""

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


@dataclass(frozen=True, slots=True)
class Progress:
    """A download at a moment. Sizes in bytes, times in seconds, rates in bytes a second."""

    phase: Literal["asking", "checking", "downloading", "finishing"]
    """asking: for the manifest or the sizes of plain fragments; name and size are not known yet."""
    name: str
    size: int
    done: int
    """Verified and in place, with what an earlier run brought."""
    rate: float
    eta: float | None
    """Seconds to go at this rate; None while unknown."""
    seconds: float
    """Since the start."""
    sources: tuple[SourceProgress, ...]
    retries: int = 0
    """How many failures in a row are borne from a source (Settings.retries)."""
    notes: tuple[str, ...] = ()
    """What people ought to be told, so far: mirrors left out, a lack of anything to verify with."""


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What one source did for a download."""

    url: str
    received: int
    """Bytes of bodies that it sent."""
    useful: int
    """Bytes of pieces that it was the first to bring."""
    share: float
    """Of the bytes that this run placed, from 0 to 1."""
    rate: float
    """``received`` over the time of the whole run, in bytes a second."""
    errors: int
    corrupt: int
    kinds: dict[str, int]
    """Errors by kind."""
    last_error: str
    state: SourceState


@dataclass(frozen=True, slots=True)
class DownloadReport:
    """How a download went. Sizes in bytes, times in seconds."""

    path: str
    name: str
    size: int
    digest: str
    """Identity of the file, in hexadecimal; empty where it was not verified."""
    verified: bool
    """Whether all bytes were held against hashes that did not come from the sources themselves."""
    resumed: int
    """Bytes that were there already: of an earlier run, in files that are right, or in old ones."""
    received: int
    """Bytes that came over all sources, those in vain included."""
    seconds: float
    """Of this run."""
    rate: float
    """Bytes a second that this run placed; those in ``resumed`` do not count."""
    decoded: int = 0
    """Rows of erasure sets of which pieces were computed from parity."""
    sources: tuple[SourceReport, ...] = field(default=())
    verified_by: str = ""
    """What the hashes are: ``manifest``, ``sha256``, ``sha1 of the pieces``, or empty."""
    notes: tuple[str, ...] = ()
    """What people ought to be told: mirrors left out, a lack of anything to verify with."""
    files: int | None = None
    """How many files a folder has; None: it is one file."""
    reused: int = 0
    """Of ``resumed``, bytes that came from an older version of the file or folder."""
    kept: bool = False
    """Whether the file was there, whole and right: nothing was fetched or written."""


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
