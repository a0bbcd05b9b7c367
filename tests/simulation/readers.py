"""Readers of one file in virtual time: who gets what, what comes in vain, what a decision costs.

.venv/bin/python -m tests.simulation.readers [--readers 1 10 100 1000] [--sources 4 32] [--seeds N]

Prints the processor time of the planner for each event, and by how much the reader that got least
fell short of its share. Exit code 1: a bound was missed.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from bench.simulate.links import Flight
from bench.simulate.setting import Setting, SourceModel, layout_of
from bench.simulate.supply import supply_of

from bench.simulate import world as simulator
from regather.planner import (
    Decoded,
    Event,
    Evicted,
    Finished,
    Options,
    PieceDone,
    Planner,
    Release,
    Unavailable,
    Want,
)
from tests.simulation.books import Books

MIB = 1 << 20
MOST_MICROSECONDS = 20.0
MOST_IN_VAIN = 0.02
LEAST_SHARE = 0.5


@dataclass(eq=False)
class Reader:
    """Reads pieces in an order of its own, and wants some of the next ones beforehand."""

    number: int
    order: list[int]
    urgent: int = 2
    """Pieces that it waits for at a time,"""
    ahead: int = 6
    """and those behind them that are wanted in the background."""
    joins: float = 0.0
    leaves: float = float("inf")
    stalls_after: float = float("inf")
    """From how many pieces on it takes nothing any more, without leaving."""
    at: int = 0
    """How many pieces it has read."""
    gone: bool = False
    failed: list[int] = field(default_factory=list)
    """Pieces that it was told cannot be had."""

    @property
    def window(self) -> list[int]:
        """The pieces that it wants."""
        return self.order[self.at : self.at + self.urgent + self.ahead]


class Readers(simulator.World):
    """Readers, and a cache that forgets what was used longest ago."""

    def attach(self, readers: Sequence[Reader], seconds: float, cached: int) -> None:
        """Let readers come and go for a time; so many ``cached`` pieces are kept for others."""
        self.readers = {reader.number: reader for reader in readers}
        self.seconds = seconds
        self.useful = 0
        """Bytes of pieces that somebody wanted when they came."""
        self.wanting: dict[int, dict[int, Reader]] = {}
        """By piece: who wants it."""
        self.there: set[int] = set()
        self._cache: OrderedDict[int, None] = OrderedDict()
        self._cached = cached
        self._reading: list[Reader] = []
        self._disturbed: set[int] = set()
        """Readers whose window changed without them."""
        for reader in readers:
            self._at(reader.joins, self._join, reader)
            if reader.leaves < seconds:
                self._at(reader.leaves, self._leave, reader)
        self._at(seconds, self._over, None)

    def _over(self, _subject: object, _stamp: int) -> None:
        self.ending = Finished()

    def may_evict(self, number: int) -> bool:
        """Whether nobody wants a piece, and no row is computed from it."""
        fragment, piece = self.layout.locate(number)
        row = self.layout.set_of[fragment], piece
        return not (self.planner.is_wanted(fragment, piece) or row in self.planner._state.decoding)

    def tell(self, event: Event) -> None:
        if isinstance(event, PieceDone):
            start = self.flights.get(event.request) or self._ended
            fragment = start.start.fragment
            number = self.layout.number(fragment, event.piece)
            if number not in self.there:
                if number in self.wanting or not self.layout.is_data(fragment):
                    self.useful += self.layout.length(fragment, event.piece)
                self._came(number)
        elif isinstance(event, Decoded):
            for fragment in self.layout.sets[event.set].data:
                if event.row < self.layout.pieces_of(fragment):
                    self._came(self.layout.number(fragment, event.row))
        super().tell(event)
        if self._reading and not self._busy:
            self._read()

    _busy = False
    _ended: Flight

    def _end(self, flight: Flight, *, kept: bool = False) -> None:
        self._ended = flight
        super()._end(flight, kept=kept)

    def _came(self, number: int) -> None:
        self.there.add(number)
        if number < self.layout.data_pieces:
            self._reading += self.wanting.get(number, {}).values()
            if number not in self.wanting:
                self._cache[number] = None

    def on_unavailable(self, action: Unavailable) -> None:
        """Readers are told, and go on behind."""
        for number in range(action.start, action.end):
            for reader in self.wanting.pop(number, {}).values():
                reader.failed.append(number)
                reader.order = [n for n in reader.order if n != number]
                self._reading.append(reader)
                self._disturbed.add(reader.number)

    def carry_out(self, action: object) -> None:
        if isinstance(action, Unavailable):
            self.on_unavailable(action)
        else:
            super().carry_out(action)  # type: ignore[arg-type]

    # -- readers --------------------------------------------------------------------------

    def _join(self, reader: Reader, _stamp: int) -> None:
        # An answer to a part of what it wants may move its window, or end its reading.
        self._disturbed.add(reader.number)
        self._reading.append(reader)
        self._read()

    def _leave(self, reader: Reader, _stamp: int) -> None:
        reader.gone = True
        self._release(reader, reader.window)

    def _want(self, reader: Reader, numbers: Sequence[int], *, urgent: bool) -> None:
        for number in numbers:
            self.wanting.setdefault(number, {})[reader.number] = reader
            self._cache.pop(number, None)
        for start, end in _runs(numbers):
            self.tell(Want(reader.number, start, end, urgent))

    def _release(self, reader: Reader, numbers: Sequence[int]) -> None:
        for number in numbers:
            wanting = self.wanting.get(number)
            if wanting is not None and reader.number in wanting:
                del wanting[reader.number]
            if wanting is not None and not wanting:
                del self.wanting[number]
                if number in self.there:
                    self._cache[number] = None
        for start, end in _runs(numbers):
            self.tell(Release(reader.number, start, end))
        if len(self._cache) > self._cached:
            for number in list(self._cache):
                if len(self._cache) > self._cached and self.may_evict(number):
                    del self._cache[number]
                    self.there.discard(number)
                    self.tell(Evicted(number, number + 1))

    def _read(self) -> None:
        """Those whose next piece is there take it, and want one more."""
        self._busy = True
        while self._reading:
            reader = self._reading.pop()
            if reader.number in self._disturbed and not reader.gone:
                self._disturbed.discard(reader.number)
                self._want(reader, reader.window[: reader.urgent], urgent=True)
                self._want(reader, reader.window[reader.urgent :], urgent=False)
            while (
                not reader.gone
                and reader.at < min(len(reader.order), reader.stalls_after)
                and reader.order[reader.at] in self.there
            ):
                number = reader.order[reader.at]
                reader.at += 1
                self._release(reader, [number])
                window = reader.window
                self._want(reader, window[reader.urgent - 1 : reader.urgent], urgent=True)
                if reader.ahead:
                    last = reader.urgent + reader.ahead - 1
                    self._want(reader, window[last : last + 1], urgent=False)
        self._busy = False


class Reading(Readers):
    """Readers and sources that do as they are told, for a time."""

    def __init__(
        self,
        setting: Setting,
        readers: Sequence[Reader],
        seconds: float,
        *,
        cached: int = 1 << 30,
        check_every: int = 0,
    ) -> None:
        """As ``attach``; the books are checked after every so many events."""
        super().__init__(setting)
        holdings = [m.holds if m.known else None for m in setting.sources]
        rng = random.Random(setting.seed + 1)
        self.planner = Planner(setting.layout, holdings, setting.options, rng, live=True)
        self._books = Books(self.planner)
        self._check_every = check_every
        self.attach(readers, seconds, cached)

    def tell(self, event: Event) -> None:
        super().tell(event)
        if self._check_every and self.events % self._check_every == 0:
            self._books.check(self.now)


def _runs(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Numbers as runs, in the order given."""
    if not numbers:
        return []
    edges = [0, *(at + 1 for at, (a, b) in enumerate(pairwise(numbers)) if b != a + 1)]
    return [
        (numbers[start], numbers[end - 1] + 1) for start, end in pairwise([*edges, len(numbers)])
    ]


def sources_of(
    count: int, layout_fragments: int, *, slow: bool, seed: int, rtt: float = 0.02
) -> list[SourceModel]:
    """Sources that hold everything, of 50 MB/s; with ``slow`` a quarter of them has a tenth."""
    everything = frozenset(range(layout_fragments))
    return [
        SourceModel(supply_of(5e6 if slow and n % 4 == 3 else 50e6), everything, rtt=rtt)
        for n in range(count)
    ]


def reading(
    readers: int,
    sources: int,
    *,
    seed: int = 0,
    slow: bool = False,
    rand: bool = False,
    churn: bool = False,
    stalled: int = 0,
    pieces: int = 0,
    check_every: int = 0,
    most_requests: int = 256,
) -> Reading:
    """Readers at random places of one file of 8 fragments, of which each should read ``pieces``.

    0: as many as make three thousand together, thirty at least.

    With ``churn`` three of four leave half way, and as many join; ``stalled`` of them stop at once.
    """
    rng = random.Random(f"{seed}/readers")
    pieces = pieces or max(30, 3000 // readers)
    size = max(1024, readers * pieces * 2)
    layout = layout_of([size // 8 * MIB] * 8)
    models = sources_of(sources, len(layout.fragments), slow=slow, seed=seed)
    capacity = sum(next(iter(m.supply.spans(1.0, 0.0))).rate for m in models)
    seconds = pieces * readers * MIB / capacity + 2.0
    people: list[Reader] = []
    total = layout.data_pieces
    for number in range(readers):
        first = rng.randrange(total)
        order = [(first + n) % total for n in range(4 * pieces + 64)]
        if rand:
            order = rng.sample(range(total), min(total, 4 * pieces + 64))
        reader = Reader(number, order, ahead=0 if rand else 6)
        if number < stalled:
            reader.stalls_after = 2
        people.append(reader)
        if churn and number % 4:
            reader.leaves = seconds * rng.uniform(0.3, 0.7)
            after = Reader(readers + number, list(reversed(order)) if rand else order)
            after.joins, after.ahead, after.order = (
                reader.leaves,
                reader.ahead,
                order[len(order) // 2 :],
            )
            people.append(after)
    options = Options(max_requests=most_requests)
    setting = Setting(layout, models, options, seed=seed)
    return Reading(setting, people, seconds, cached=2048, check_every=check_every)


@dataclass(frozen=True)
class Result:
    """What came of one run."""

    microseconds: float
    """Of the processor in the planner, for each event."""
    events: int
    used: float
    """Of what the sources could send, the share that readers took."""
    in_vain: float
    """Of the bytes received, the share that nobody wanted."""
    least: float
    """What the reader got that got least, over an equal share of what was received."""


def measured(world: Reading) -> Result:
    """Run a world and take its figures."""
    outcome = world.run()
    stays = {n: min(r.leaves, world.seconds) - r.joins for n, r in world.readers.items()}
    fair = world.useful / MIB / sum(stays.values())
    rates = [
        world.readers[number].at / seconds
        for number, seconds in stays.items()
        if seconds > world.seconds / 4
        and world.readers[number].stalls_after > world.readers[number].at
    ]
    capacity = sum(
        sum((s.end - s.start) * s.rate for s in link.model.supply.spans(world.seconds, 0.02))
        for link in world.links
    )
    partial = sum(flight.received() for flight in world.flights.values())
    return Result(
        outcome.planner_seconds / outcome.events * 1e6,
        outcome.events,
        world.useful / capacity,
        max(0.0, (outcome.received - partial - world.useful) / max(outcome.received, 1)),
        min(rates) / fair,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.readers", description=__doc__)
    parser.add_argument("--readers", type=int, nargs="+", default=[1, 10, 100, 1000])
    parser.add_argument("--sources", type=int, nargs="+", default=[4, 32])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--pieces", type=int, default=0, help="of each reader")
    options = parser.parse_args(arguments)
    print("| readers | sources | kind | µs an event | events | used | in vain | least share |")
    print("| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |")
    missed = False
    for readers in options.readers:
        for sources in options.sources:
            for name, kind in KINDS.items():
                for seed in range(options.seeds):
                    world = reading(readers, sources, seed=seed, pieces=options.pieces, **kind)
                    result = measured(world)
                    print(
                        f"| {readers} | {sources} | {name} | {result.microseconds:.1f} "
                        f"| {result.events} | {result.used:.2f} | {result.in_vain:.2%} "
                        f"| {result.least:.2f} |",
                        flush=True,
                    )
                    missed |= bool(faults(result))
    return missed


KINDS: dict[str, dict[str, bool]] = {
    "sequential": {},
    "random": {"rand": True},
    "sequential, slow sources": {"slow": True},
    "random, slow sources": {"rand": True, "slow": True},
    "sequential, coming and going": {"churn": True},
    "random, coming and going": {"rand": True, "churn": True},
}


def faults(result: Result) -> list[str]:
    """The bounds that a run missed."""
    found: list[str] = []
    if result.microseconds > MOST_MICROSECONDS:
        found.append(f"{result.microseconds:.1f} µs an event")
    if result.in_vain > MOST_IN_VAIN:
        found.append(f"{result.in_vain:.2%} in vain")
    if result.least < LEAST_SHARE:
        found.append(f"a reader got {result.least:.2f} of its share")
    return found


if __name__ == "__main__":
    sys.exit(main())
