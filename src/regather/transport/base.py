"""What every transport is: bytes a..b of a named object into a buffer, and nothing more.

Transports know no fragments, pieces or erasure sets. One connection serves one request at a time
and belongs to one thread; only ``abort`` may be called from another.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Protocol

from msgspec import Struct

from regather.errors import TransportError

TICK = 0.25
"""Seconds after which ``receive`` returns although nothing came."""


class Failure(Enum):
    """Why a request failed, as far as it matters for what to do next."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timed out"
    RESET = "connection lost"
    TRUNCATED = "body truncated"
    BUSY = "busy"
    SERVER_ERROR = "server error"
    MISSING = "not there"
    FORBIDDEN = "not allowed"
    BAD_RESPONSE = "bad response"
    CHANGED = "changed meanwhile"
    EXISTS = "there already"
    NO_SPACE = "no room"
    TOO_LARGE = "too large"
    DAMAGED = "arrived damaged"
    ABORTED = "aborted"

    @property
    def lasting(self) -> bool:
        """Whether asking the same source for the same object again is pointless."""
        return self in _LASTING


_LASTING = frozenset(
    (
        Failure.MISSING,
        Failure.FORBIDDEN,
        Failure.BAD_RESPONSE,
        Failure.CHANGED,
        Failure.EXISTS,
        Failure.NO_SPACE,
        Failure.TOO_LARGE,
    ),
)

_MAY_PASS = frozenset((Failure.FORBIDDEN, Failure.MISSING, Failure.BAD_RESPONSE))


class RequestFailed(TransportError):
    """A request failed; ``failure`` classifies it, ``retry_after`` is in seconds where told.

    ``status`` is that of HTTP, where the server answered with one that explains the failure.
    ``refused`` says that no connection was accepted: asking again costs the server nothing.
    """

    def __init__(
        self,
        failure: Failure,
        detail: str,
        *,
        retry_after: float | None = None,
        status: int | None = None,
        refused: bool = False,
    ) -> None:
        self.failure = failure
        self.retry_after = retry_after
        self.status = status
        self.refused = refused
        super().__init__(detail)

    def may_pass(self, *, served: bool, serving: bool) -> bool:
        """Whether a refusal of a lasting kind may pass.

        ``served`` says that the same source has sent bytes of the same object before, ``serving``
        that another request for them is under way: so servers refuse what is too much at a time,
        and so one of several behind a name may fail.
        """
        if self.status is None or self.failure not in _MAY_PASS:
            return False
        return served or (serving and self.failure is Failure.FORBIDDEN)


class OtherSize(RequestFailed):
    """An object has another size than it must have."""

    def __init__(self, detail: str) -> None:
        super().__init__(Failure.BAD_RESPONSE, detail)


class SizeUnknown(RequestFailed):
    """A server sends an object, and does not report its size."""

    def __init__(self, where: str) -> None:
        super().__init__(Failure.BAD_RESPONSE, f"{where}: the server does not report its size")


class Look(Struct, frozen=True):
    """What a first look at an object tells."""

    size: int | None
    """Bytes; None where the server does not tell: it ends where it ends."""
    validator: str
    """What tells this version from others, as for Connection.request; may be empty."""
    start: bytes
    """Its first bytes."""
    ranged: bool
    """Whether ranges of it can be had."""
    date: str = ""
    """Last-Modified, as it was sent, or empty: mirrors often keep it."""
    heads: tuple[tuple[str, Mapping[str, str]], ...] = ()
    """What was answered, redirects first: URLs and headers, names in lower case."""
    doubt: str = ""
    """Why it may be something else than the file, by what the server says; mostly empty."""


class Connection(Protocol):
    """One connection to one source."""

    def request(
        self, target: str, start: int, stop: int, size: int | None, validator: str = ""
    ) -> bool:
        """Ask for bytes ``start`` up to ``stop`` of the object at URL or path ``target``.

        ``size`` is how long the object must be, None where that is unknown. ``validator`` is the
        entity tag or date that it must still have, or empty. Returns True where exactly the range
        follows, False where the whole object follows from its first byte (the source ignores
        ranges). Raises RequestFailed.
        """
        ...

    def ahead(self, target: str, start: int, stop: int, validator: str = "") -> None:
        """Say already what will be asked for when this body has ended.

        ``request`` must follow with the same; it saves the wait for the answer where the
        transport can do that, else nothing happens. Never fails.
        """
        ...

    def receive(self, into: memoryview) -> int:
        """Receive up to ``len(into)`` bytes of the body; return how many.

        Waits until the buffer is full or a tick has passed: 0 means that nothing came within the
        tick. Raises RequestFailed where the body ends early, the connection fails, or nothing
        came for the time-out.
        """
        ...

    def finish(self) -> None:
        """Say that no more of the body is wanted; keeps the connection where that is cheap."""
        ...

    def abort(self) -> None:
        """Make a pending call in another thread fail soon with Failure.ABORTED."""
        ...

    def close(self) -> None:
        """Free everything."""
        ...

    def forsake(self) -> None:
        """In a child process after a fork: let go, unseen by the server and by the parent."""
        ...


class Askable(Connection, Protocol):
    """A connection that can also be asked what there is, before a download.

    All of these raise RequestFailed, and UsageError where the user's own settings are wrong.
    """

    def probe(self, target: str, *, verified: bool = False) -> tuple[int, str]:
        """Bytes of an object, and its validator (as for ``request``; may be empty).

        Without ``verified``, which says that its bytes will be, an answer that is no file by what
        the server says is refused.
        """
        ...

    def look(self, target: str, count: int) -> Look:
        """The first ``count`` bytes of an object, and with them all that is told of it."""
        ...

    def fetch(self, target: str, limit: int) -> tuple[bytes, str]:
        """A small object whole, at most ``limit`` bytes, and its URL after redirects."""
        ...
