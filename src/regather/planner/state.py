"""What the planner remembers: pieces, requests, sources. Selection reads it, the core writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from regather.model import Layout
from regather.planner.health import Health
from regather.planner.pieces import Run, Runs


@dataclass(slots=True)
class Request:
    """A request in flight: the pieces ``pos`` up to ``end`` are still to come, in order."""

    id: int
    source: int
    fragment: int
    pos: int
    end: int
    began: float
    moved: float
    """When bytes last came."""
    moved_piece: float
    """When the piece before the current one was done, or the request began."""
    whole: bool = False
    partial: int = 0
    """Bytes of the current piece that are here."""
    cancelled: bool = False


@dataclass(slots=True)
class State:
    """Everything that decisions are made from."""

    layout: Layout
    holdings: Sequence[frozenset[int] | None]
    """By source: the positions of the fragments that it holds; None where it must be asked."""
    sources: list[Health]
    retries: int
    """Failures, or lies, in a row that are borne from a source."""
    free: list[Runs] = field(init=False)
    """By fragment: the pieces that are neither done nor in flight."""
    done: list[bytearray] = field(init=False)
    working: list[dict[int, Request]] = field(init=False)
    """By fragment: the requests in flight, by id."""
    requests: dict[int, Request] = field(default_factory=dict)
    suspects: dict[tuple[int, int], set[int]] = field(default_factory=dict)
    """By piece: the sources that sent it wrong."""
    left: int = 0
    """Pieces that are not done."""

    def __post_init__(self) -> None:
        count = len(self.layout.fragments)
        self.free = [Runs() for _ in range(count)]
        self.working = [{} for _ in range(count)]
        self.done = [bytearray(self.layout.pieces_of(f)) for f in range(count)]
        self.left = self.layout.piece_count
        for f in range(count):
            self.free[f].add(0, self.layout.pieces_of(f))

    def can_serve(self, source: int, fragment: int) -> bool:
        """Whether a source is worth asking for a fragment, at some time."""
        if not self._may_have(source, fragment):
            return False
        health = self.sources[source]
        if not health.distrusted:
            return True
        # Everything is verified, so even a liar harms nobody but itself: it is asked where no
        # other could help, as long as it sends something good at times.
        return health.lies <= self.retries and not any(
            not other.distrusted and not other.failures and self._may_have(s, fragment)
            for s, other in enumerate(self.sources)
        )

    def _may_have(self, source: int, fragment: int) -> bool:
        held = self.holdings[source]
        return fragment not in self.sources[source].absent and (held is None or fragment in held)

    def undone(self, fragment: int, start: int, end: int) -> Iterator[Run]:
        """The runs of pieces in ``start`` up to ``end`` that are not done."""
        done = self.done[fragment]
        at = done.find(0, start, end)
        while at >= 0:
            stop = done.find(1, at, end)
            stop = end if stop < 0 else stop
            yield at, stop
            at = done.find(0, stop, end)

    def release(self, fragment: int, start: int, end: int) -> None:
        """Give pieces back to be chosen, save what is done or in flight elsewhere."""
        free = self.free[fragment]
        for run in self.undone(fragment, start, end):
            free.add(*run)
        for request in self.working[fragment].values():
            if not request.cancelled:
                free.remove(request.pos, request.end)

    def mean_rate(self) -> float:
        """Mean rate of the sources that have one, in bytes a second; 1 where none has."""
        rates = [h.rate for h in self.sources if h.rate]
        return sum(rates) / len(rates) if rates else 1.0
