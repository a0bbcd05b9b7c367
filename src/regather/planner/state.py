"""What the planner remembers: pieces, requests, sources. Selection reads it, the core writes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from regather.model import Layout
from regather.planner.health import Health
from regather.planner.pieces import Run, Runs


@dataclass(slots=True)
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
    """By fragment: the pieces that are neither settled nor in flight."""
    done: list[bytearray] = field(init=False)
    settled: list[bytearray] = field(init=False)
    """By fragment: the pieces that are done, or that parity in place stands in for."""
    working: list[dict[int, Request]] = field(init=False)
    """By wanted fragment: the requests in flight, by id."""
    requests: dict[int, Request] = field(default_factory=dict)
    suspects: dict[tuple[int, int], set[int]] = field(default_factory=dict)
    """By piece: the sources that sent it wrong."""
    left: int = 0
    """Pieces of the file that are not done."""
    parity_rows: list[dict[int, int]] = field(init=False)
    """By erasure set: the rows that parity is in place for and that are not whole, how many."""
    spare: list[dict[int, int]] = field(init=False)
    """By erasure set and row: parity pieces in place that stand in for no piece yet."""
    decoding: set[tuple[int, int]] = field(default_factory=set)
    """Rows (set, row) that are being computed."""

    def __post_init__(self) -> None:
        count = len(self.layout.fragments)
        self.free = [Runs() for _ in range(count)]
        self.working = [{} for _ in range(count)]
        self.done = [bytearray(self.layout.pieces_of(f)) for f in range(count)]
        in_set, data = self.layout.set_of, self.layout.is_data
        self.settled = [
            bytearray(d) if in_set[f] >= 0 and data(f) else d for f, d in enumerate(self.done)
        ]
        self.parity_rows = [{} for _ in self.layout.sets]
        self.spare = [{} for _ in self.layout.sets]
        self.left = self.layout.data_pieces
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
        return (
            health.lies <= self.retries
            and not self.trusted(fragment)
            and not self._parity_will_do(fragment)
        )

    def trusted(self, fragment: int) -> bool:
        """Whether some source that neither lied nor fails can serve a fragment."""
        return any(
            not health.distrusted and not health.failures and self._may_have(s, fragment)
            for s, health in enumerate(self.sources)
        )

    def others_can(self, fragment: int, but: set[int]) -> bool:
        """Whether a source that does not fail, and is not one of these, can serve a fragment."""
        return any(
            s not in but and not h.failures and self.can_serve(s, fragment)
            for s, h in enumerate(self.sources)
        )

    def answered_for(self, fragment: int) -> bool:
        """Whether a source that does not fail can serve a fragment, be it a liar."""
        return self.others_can(fragment, set())

    def suspect(self, source: int, fragment: int, piece: int) -> bool:
        """Whether a source sent this very piece wrong, and another could send it."""
        who = self.suspects.get((fragment, piece))
        return who is not None and source in who and self.others_can(fragment, who)

    def hopeful(self, fragment: int) -> bool:
        """Whether some source that is worth waiting for can serve a fragment."""
        return any(
            h.failures <= self.retries and self.can_serve(s, fragment)
            for s, h in enumerate(self.sources)
        )

    def _parity_will_do(self, fragment: int) -> bool:
        """Whether parity can replace all data of the set that only doubtful sources have."""
        number = self.layout.set_of[fragment]
        if number < 0 or not self.layout.is_data(fragment):
            return False
        erasure_set = self.layout.sets[number]
        doubtful = sum(self.done[f].find(0) >= 0 and not self.trusted(f) for f in erasure_set.data)
        return doubtful <= sum(self.trusted(f) for f in erasure_set.parity)

    def _may_have(self, source: int, fragment: int) -> bool:
        held = self.holdings[source]
        return fragment not in self.sources[source].absent and (held is None or fragment in held)

    def unsettled(self, fragment: int, start: int, end: int) -> Iterator[Run]:
        """The runs of pieces in ``start`` up to ``end`` that are not settled."""
        done = self.settled[fragment]
        end = min(end, len(done))
        at = done.find(0, start, end)
        while at >= 0:
            stop = done.find(1, at, end)
            stop = end if stop < 0 else stop
            yield at, stop
            at = done.find(0, stop, end)

    def release(self, fragment: int, start: int, end: int) -> None:
        """Give pieces back to be chosen, save what is settled or in flight elsewhere."""
        free = self.free[fragment]
        for run in self.unsettled(fragment, start, end):
            free.add(*run)
        for request in self.working[fragment].values():
            if not request.cancelled:
                free.remove(request.pos, request.end)

    def release_parity(self, fragment: int, start: int, end: int) -> None:
        """Give parity pieces back that a request for them did not bring."""
        free = self.free[fragment]
        for run in self.unsettled(fragment, start, end):
            free.add(*run)
        for request in self.requests.values():
            if request.via == fragment and not request.cancelled:
                free.remove(request.pos, request.end)

    def mean_rate(self) -> float:
        """Mean rate of the sources that have one, in bytes a second; 1 where none has."""
        rates = [h.rate for h in self.sources if h.rate]
        return sum(rates) / len(rates) if rates else 1.0
