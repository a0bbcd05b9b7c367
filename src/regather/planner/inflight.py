"""What is in flight, and what is foreseen of it."""

from __future__ import annotations

from regather.planner.values import Value


class Request:
    """A request in flight: the pieces ``pos`` up to ``end`` are still to come, in order.

    It brings pieces of the fragment ``via``: the wanted ``fragment`` itself, or parity that
    stands in for the same rows of it.
    """

    id: int
    source: int
    fragment: int
    via: int
    pos: int
    end: int
    began: float
    moved: float
    """When bytes last came."""
    moved_piece: float
    """When the piece before the current one was done, or the request began."""
    whole: bool
    answered: float = -1.0
    """When the body began; before 0: it has not."""
    first: int
    """The piece that it began with."""
    pace: float = 0.0
    """Bytes a second of the one before on its connection; 0: there was none."""
    partial: int = 0
    """Bytes of the current piece that are here."""
    cancelled: bool = False
    urgent: bool = False
    """Whether a reader waits for what it brings."""
    hedge: bool = False
    """Another source is asked for the same, and goes on."""
    ahead: bool = False
    """It was sent while the one before on its connection was still coming."""
    behind: Request | None = None
    """The request on whose connection it waits for its turn."""
    follower: Request | None = None
    """The request that waits behind this one."""

    def __init__(
        self,
        id: int,
        source: int,
        fragment: int,
        via: int,
        pos: int,
        end: int,
        now: float,
        *,
        whole: bool,
    ) -> None:
        self.id, self.source, self.fragment, self.via = id, source, fragment, via
        self.pos = self.first = pos
        self.end, self.whole = end, whole
        self.began = self.moved = self.moved_piece = now


class Forecast(Value, frozen=True):
    """What was foreseen at a time of an erasure set."""

    at: float
    late: tuple[int, ...]
    """The data fragments that the download will wait for, the latest first."""
