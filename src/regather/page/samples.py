"""The state of a program at one moment, as it gives it to its page once a second."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, Protocol

from msgspec import Struct, field

from regather.model import Layout

Condition = Literal[
    "unknown", "ok", "slow", "unused", "paused", "failing", "corrupt", "stalled", "gone"
]
"""The state of a server in one word; ``docs/page.md`` says what each means."""
Outcome = Literal["running", "done", "failed"]

MOST_FILES = 20
"""Files that a page shows."""
MOST_TRANSFERS = 200
"""Transfers that a page shows."""
HERE_BEFORE = 65535
"""Stands for a server: the piece was in place before this run."""
COMPUTED = 65534
"""Stands for a server: the piece was computed from parity."""
NOBODY = 0
"""Stands for a server: nobody delivered the piece yet. Server n is n + 1."""


class ServerSample(Struct):
    """One server. Counters only grow."""

    url: str
    condition: Condition = "ok"
    """As it was when it was last asked."""
    heard: int = 0
    """Grows with each answer and each failure; 0: it was not asked yet."""
    received: int = 0
    """Bytes of bodies that came from it."""
    sent: int = 0
    """Bytes that it sent to its clients, where it reports this itself."""
    useful: int = 0
    """Bytes of pieces that it was the first to deliver."""
    connections: int = 0
    latency: float = 0.0
    """Seconds to the first byte; 0: unknown."""
    pause: float = 0.0
    """Seconds until it is asked again."""
    errors: Mapping[str, int] = field(default_factory=dict)
    """By kind."""
    corrupt: int = 0
    """Corrupt pieces."""
    last_error: str = ""


class FileSample(Struct):
    """One file: its pieces, and which server holds what. Servers are numbers into ``servers``."""

    name: str
    layout: Layout
    here: bytes | bytearray
    """By the running number of a piece: whether it is in place; empty: nothing is put in place."""
    servers: Sequence[str]
    """The URLs of its servers, by number; several numbers may have one URL."""
    holdings: Sequence[frozenset[int] | None]
    """By server: the fragments (positions) that it is known to hold; None: it must be asked."""
    deliverers: Sequence[int] = ()
    """By the running number of a piece: its server + 1, or HERE_BEFORE; empty: not recorded."""
    held: Collection[tuple[int, int]] = ()
    """(server, fragment): it delivered of it."""
    absent: Collection[tuple[int, int]] = ()
    """(server, fragment): it does not have it."""
    corrupt: Collection[tuple[int, int]] = ()
    """(server, fragment): it sent a corrupt piece of it."""
    reading: Sequence[tuple[int, int, int, int]] = ()
    """Requests in flight: server, fragment, first piece, end."""
    link: str = ""
    """Where the whole file can be downloaded: its URL; empty: nowhere."""


class TransferSample(Struct):
    """One download, or one reader."""

    name: str
    size: int
    done: int
    rate: float
    left: float | None = None
    """Seconds; None: unknown."""
    phase: str = "downloading"
    waits: str = ""
    """What it waits for; empty: nothing."""
    seconds: float = 0.0
    """Since its start."""
    file: int = -1
    """Its file in ``Sample.files``; -1: none."""


class CacheSample(Struct):
    """The cache of a gateway."""

    used: int
    limit: int
    served: int
    """Bytes that were served from it."""


class Sample(Struct):
    """Everything at one moment. Counters only grow."""

    servers: Sequence[ServerSample] = ()
    files: Sequence[FileSample] = ()
    more_files: int = 0
    """Files that are not in ``files``."""
    transfers: Sequence[TransferSample] = ()
    more_transfers: int = 0
    """Transfers that are not in ``transfers``."""
    received: int = 0
    """Bytes that came from servers."""
    sent: int = 0
    """Bytes that went to clients."""
    readers: int | None = None
    """Clients that read now; None: the program has none."""
    cache: CacheSample | None = None
    origin: int = 0
    """Bytes that came from origins, as opposed to relays and peers; for copies fetched."""
    size: int = 0
    """Bytes of the files that ``origin`` is compared with; 0: unknown."""
    activity: str = ""
    """What is done now, as a short clause: "downloading"."""
    outcome: Outcome = "running"
    message: str = ""
    """With an outcome: one sentence."""


class Sampled(Protocol):
    """What a page shows."""

    def sample(self) -> Sample:
        """Its state now. Called once a second, in any thread; returns at once."""
        ...
