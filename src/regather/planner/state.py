"""What the planner remembers: pieces, requests, sources. Selection reads it, the core writes it."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from regather.model import ErasureSet, Layout
from regather.planner.events import Action
from regather.planner.group import Group
from regather.planner.groups import Counts, Groups
from regather.planner.health import Health
from regather.planner.inflight import Forecast, Request
from regather.planner.intervals import Coverage, IntervalSet, Run
from regather.planner.readers import Demand, ReaderTurns


class State:
    """Everything that decisions are made from."""

    layout: Layout
    holdings: list[frozenset[int] | None]
    """By source: the positions of the fragments that it holds; None where it must be asked."""
    sources: list[Health]
    retries: int
    """Failures, or wrong pieces, in a row that are borne from a source."""
    everything: bool
    """Whether the whole file is wanted, from the beginning to the end."""
    now: float = 0.0
    """When the event came that is handled."""
    actions: list[Action]
    """What is to be done because of it."""
    wanted: list[Coverage]
    """By fragment of data, unless everything is wanted: by how many demands a piece is wanted."""
    turns: ReaderTurns
    """The readers that wait, and what for."""
    row_wants: dict[tuple[int, int], tuple[Demand, set[int]]]
    """Rows (set, row) that are wanted as a whole, for the sake of pieces of some fragments."""
    piece_size: int
    spare_after_row: list[int]
    """By fragment of parity: pieces that were free when all data of their row had come."""
    free: list[IntervalSet]
    """By fragment: pieces that are wanted and neither settled nor in flight; of parity, those of
    rows that are wanted as a whole and lack some data. Changed by ``release`` and ``claim`` alone,
    which keep the groups true."""
    groups: Groups
    unclaimed: int = 0
    """How many pieces are free in all."""
    freed: bool = False
    """Whether pieces were given back since the planner last looked."""
    done: list[bytearray]
    settled: list[bytearray]
    """By fragment: the pieces that are done, or that parity in place stands in for."""
    working: list[dict[int, Request]]
    """By wanted fragment: the requests in flight, by id."""
    hedged: dict[tuple[int, int], list[Request]]
    """By piece: the requests of one piece each that race for it."""
    overlapping: list[dict[int, Request]]
    """By wanted fragment: the requests over many pieces that others may work on as well."""
    requests: dict[int, Request]
    weighted_rate: list[float]
    """By source: bytes a second that its connections bring together, 0 while it fails or is silent;
    below 0 where its rate is not known, and then how many connections it has. Kept by ``weigh``."""
    stalled: set[int]
    """The sources with requests that are stuck, when that was last looked at."""
    queued: int = 0
    """How many requests wait behind another one."""
    suspects: dict[tuple[int, int], set[int]]
    """By piece: the sources that sent it wrong."""
    left: int = 0
    """Pieces of the file that are wanted and not done."""
    fruitless: int = 0
    """Sources that failed before they brought anything, since a piece came from any."""
    rates: float = 0.0
    """Sum of the sources' rates, as far as known, in bytes a second."""
    fastest: float = 0.0
    """The highest rate that any source ever had."""
    rated: int = 0
    """How many sources have a rate."""
    parity_rows: list[dict[int, int]]
    """By erasure set: the rows that parity is in place for and that are not whole, how many."""
    forecasts: dict[int, Forecast]
    """By erasure set, for ``parity``."""
    lacking: list[array[int]]
    """By erasure set and row: how many data pieces are not done."""
    spare: list[dict[int, int]]
    """By erasure set and row: parity pieces in place that stand in for no piece yet."""
    _doubtful: list[tuple[int, tuple[int, ...]]]
    """By erasure set: what ``doubtful`` found, and at which count of judgements."""
    bad_rows: set[tuple[int, int]]
    """Rows (set, row) that could not be computed: their parity is no good."""
    decoding: dict[tuple[int, int], tuple[int, ...]]
    """Rows (set, row) that are being computed, and the fragments whose pieces are made."""

    def __init__(
        self,
        layout: Layout,
        holdings: list[frozenset[int] | None],
        sources: list[Health],
        retries: int,
        everything: bool = True,
    ) -> None:
        self.layout, self.holdings, self.sources = layout, holdings, sources
        self.retries, self.everything, self.turns = retries, everything, ReaderTurns()
        self.row_wants, self.suspects, self.bad_rows = {}, {}, set()
        self.requests, self.hedged, self.stalled = {}, {}, set()
        self.forecasts, self.decoding, self.actions = {}, {}, []
        count, self.piece_size = len(layout.fragments), layout.piece_size
        self.spare_after_row, self.weighted_rate = [0] * count, [0.0] * len(sources)
        self.free = [IntervalSet() for _ in range(count)]
        self.working = [{} for _ in range(count)]
        self.overlapping = [{} for _ in range(count)]
        self.done = [bytearray(layout.pieces_of(f)) for f in range(count)]
        in_set, data = layout.set_of, layout.is_data
        self.settled = [
            bytearray(d) if in_set[f] >= 0 and data(f) else d for f, d in enumerate(self.done)
        ]
        self.parity_rows = [{} for _ in layout.sets]
        self.lacking = [self._data_in_rows(members) for members in layout.sets]
        self.spare = [{} for _ in layout.sets]
        self._doubtful = [(-1, ())] * len(layout.sets)
        self.left = layout.data_pieces if everything else 0
        self.wanted = [] if everything else [Coverage() for _ in range(layout.data_count)]
        for source in range(len(self.sources)):
            self.weigh(source)
        self.groups = Groups(self.holdings, count, layout.data_count, self.turns)
        for f in range(count if everything else 0):
            self.release(f, 0, layout.pieces_of(f))

    def _data_in_rows(self, members: ErasureSet) -> array[int]:
        """How many data pieces each row of an erasure set has."""
        counts = array("H")
        lengths = sorted(map(self.layout.pieces_of, members.data))
        for shorter, length in enumerate(lengths):
            counts.extend(array("H", [len(lengths) - shorter]) * (length - len(counts)))
        return counts

    def length(self, fragment: int, piece: int) -> int:
        """How many bytes a piece has."""
        if piece + 1 < len(self.done[fragment]):
            return self.piece_size
        return self.layout.length(fragment, piece)

    def now_done(self, fragment: int, piece: int) -> None:
        """A data piece is in place."""
        self.done[fragment][piece] = self.settled[fragment][piece] = 1
        if self.is_wanted(fragment, piece):
            self.left -= 1
        number = self.layout.set_of[fragment]
        if number >= 0:
            self.lacking[number][piece] -= 1

    # -- what is wanted -------------------------------------------------------------------

    def is_wanted(self, fragment: int, piece: int) -> bool:
        """Whether anybody wants a piece of the file."""
        return self.everything or piece in self.wanted[fragment]

    def wanted_within(self, fragment: int, start: int, end: int) -> list[Run]:
        """The runs between two pieces that are wanted; of parity, whose whole row is."""
        if self.everything:
            return [(start, end)]
        if self.layout.is_data(fragment):
            return self.wanted[fragment].within(start, end)
        runs = [(start, end)]
        for member in self.layout.sets[self.layout.set_of[fragment]].data:
            length, wanted = self.layout.pieces_of(member), self.wanted[member]
            beyond = [(max(a, length), b) for a, b in runs if b > length]
            runs = [run for a, b in runs for run in wanted.within(a, min(b, length))] + beyond
        return runs

    # -- free pieces ----------------------------------------------------------------------

    def release(self, fragment: int, start: int, end: int) -> None:
        """Pieces are free to be chosen."""
        free = self.free[fragment]
        new = free.add(start, end)
        if not new:
            return
        group = self.groups.of[fragment]
        group.free += new
        self.unclaimed += new
        self.freed = True
        if free.count == new:
            self.groups.list_free(fragment, untouched=not self.working[fragment])
        if self.turns.readers and self.layout.is_data(fragment):
            self._queue_readers(group, fragment, start, end)

    def _queue_readers(self, group: Group, fragment: int, start: int, end: int) -> None:
        """Readers that wait for pieces that are free now stand in line for them."""
        waited_for, turns = self.turns.urgent, self.turns
        for demand in turns.bulk.values():
            turns.join(group.line(urgent=False), demand)
        first = self.layout.first_pieces[fragment]
        numbers = range(first + start, first + end)
        # Of a large part of the file, few pieces are waited for.
        few = len(waited_for) < len(numbers)
        for number in [n for n in waited_for if n in numbers] if few else numbers:
            for demand in waited_for.get(number, ()):
                turns.join(group.line(urgent=True), demand)

    def claim(self, fragment: int, start: int, end: int) -> int:
        """Pieces are not free any more; return how many of them were."""
        taken = self.free[fragment].remove(start, end)
        if taken:
            self.groups.of[fragment].free -= taken
            self.unclaimed -= taken
        return taken

    def counts(self, fragment: int) -> Counts:
        """What its group has to know of a fragment."""
        working = self.working[fragment].values()
        flying = sum([r.end - r.pos for r in working if not r.cancelled])
        standing_in = sum([r.via == fragment != r.fragment for r in self.requests.values()])
        return self.free[fragment].count, flying, standing_in

    # -- who can send what ----------------------------------------------------------------

    def can_serve(self, source: int, fragment: int) -> bool:
        """Whether a source is worth asking for a fragment, at some time."""
        if source not in self.groups.of[fragment].holders:
            return False
        health = self.sources[source]
        if not health.distrusted:
            return True
        # Everything is verified, so even a liar harms nobody but itself: it is asked where no
        # other could help, as long as it sends something good at times.
        return (
            health.corrupt_in_row <= self.retries
            and not self.trusted(fragment)
            and not self._parity_will_do(fragment)
        )

    def useful(self, source: int) -> bool:
        """Whether a source may bring anything, unless pieces are given back or another fails."""
        if self.sources[source].distrusted:
            return any(self.can_serve(source, f) for f in range(len(self.done)))
        groups = self.groups
        return any(group.free or group.flying for group in groups.of_source[source]) or any(
            group.free or group.standing_in for group in groups.parity_of_source[source]
        )

    def trusted(self, fragment: int) -> bool:
        """Whether some source that neither fails nor sent wrong bytes can serve a fragment."""
        return self.groups.trusted(fragment, self)

    def doubtful(self, number: int) -> tuple[int, ...]:
        """The data fragments of a set that no trusted source can serve."""
        groups = self.groups
        judged, found = self._doubtful[number]
        if judged != groups.judgements + groups.moves:
            found = tuple([f for f in self.layout.sets[number].data if not self.trusted(f)])
            self._doubtful[number] = groups.judgements + groups.moves, found
        return found

    def others_can(self, fragment: int, but: set[int]) -> bool:
        """Whether a source that does not fail, and is not one of these, can serve a fragment."""
        return any(
            s not in but and not self.sources[s].unreachable and self.can_serve(s, fragment)
            for s in self.groups.of[fragment].holders
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
        return self.trusted(fragment) or any(
            self.sources[s].failures <= self.retries and self.can_serve(s, fragment)
            for s in self.groups.of[fragment].holders
        )

    def _parity_will_do(self, fragment: int) -> bool:
        """Whether parity can replace all data of the set that only doubtful sources have."""
        number = self.layout.set_of[fragment]
        if number < 0 or not self.layout.is_data(fragment):
            return False
        erasure_set = self.layout.sets[number]
        doubtful = sum(self.done[f].find(0) >= 0 and not self.trusted(f) for f in erasure_set.data)
        return doubtful <= sum(self.trusted(f) for f in erasure_set.parity)

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

    def requeue(self, fragment: int, start: int, end: int) -> None:
        """Give pieces back to be chosen, save what is settled or in flight elsewhere."""
        self._give_back(fragment, start, end, self.working[fragment].values())

    def requeue_parity(self, fragment: int, start: int, end: int) -> None:
        """Give parity pieces back that a request for them did not bring."""
        others = [r for r in self.requests.values() if r.via == fragment]
        self._give_back(fragment, start, end, others)

    def _give_back(self, fragment: int, start: int, end: int, others: Iterable[Request]) -> None:
        freed, before = self.freed, self.free[fragment].count
        runs = list(self.unsettled(fragment, start, end))
        if not runs:
            return
        if not self.everything:
            runs = [part for run in runs for part in self.wanted_within(fragment, *run)]
        for run in runs:
            self.release(fragment, *run)
        for request in others:
            if not request.cancelled:
                self.claim(fragment, request.pos, request.end)
        self.freed = freed or self.free[fragment].count > before

    def count_rate(self, source: int) -> None:
        """The rate of a source is another one than what was counted."""
        health = self.sources[source]
        rate = health.rate
        self.rates += rate - health.counted
        self.rated += not health.counted
        self.fastest = max(self.fastest, rate)
        health.counted = rate
        self.weigh(source)

    def weigh(self, source: int) -> None:
        """The rate of a source, or its number of connections, has changed."""
        health = self.sources[source]
        if health.failures or health.all_stalled:
            self.weighted_rate[source] = 0.0
        else:
            connections = health.active or 1
            self.weighted_rate[source] = health.rate * connections if health.rate else -connections

    def invalidate(self, source: int) -> None:
        """A source came or went: sum anew what it has a part in."""
        self.weigh(source)
        self.groups.invalidate(source)

    def mean_rate(self) -> float:
        """Mean rate of the sources that have one, in bytes a second; 1 where none has."""
        return self.rates / self.rated if self.rated else 1.0
