"""The simulator of ``bench.simulate`` for tests: sources in few words, promises that are kept.

The world keeps the invariants itself and breaks the run where one is violated.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass, field

from bench.simulate.links import Flight, Link
from bench.simulate.setting import Setting, SourceModel, layout_of
from bench.simulate.supply import Absence, flapping, supply_of

from bench.simulate import world as simulator
from regather.model import Layout
from regather.planner import (
    Action,
    Answered,
    Blame,
    Cancel,
    Cancelled,
    Decode,
    Decoded,
    DecodeFailed,
    Event,
    Finished,
    GiveUp,
    Options,
    PieceCorrupt,
    PieceDone,
    Planner,
    RangeIgnored,
    Restart,
    Start,
    Tick,
    Trim,
)
from regather.planner.termination import is_hope
from tests.simulation.books import Books

__all__ = ["Model", "World", "layout_of"]


@dataclass
class Model:
    """One source. Bandwidth in bytes a second, times in seconds."""

    bandwidth: float = 50e6
    latency: float = 0.01
    """One way."""
    holds: frozenset[int] | None = None
    really_holds: frozenset[int] | None = None
    """What it has in truth; None: what it is known to hold. The planner must find out."""
    dies_at: float = math.inf
    returns_at: float = math.inf
    freezes_at: float = math.inf
    """From then on it accepts requests and sends nothing,"""
    thaws_at: float = math.inf
    """until then."""
    flaps: float = 0.0
    """It comes and goes for ever, every so many seconds in the mean; 0: never."""
    fail_rate: float = 0.0
    corrupt_rate: float = 0.0
    stall_rate: float = 0.0
    ignores_ranges: bool = False
    odd_rate: float = 0.0
    """How often the answer to a range is the whole fragment."""
    break_rate: float = 0.0
    """How often an answer breaks off, somewhere in its first pieces."""
    late_rate: float = 0.0
    """How often what was cancelled brings a piece more, or the news of its answer."""
    max_connections: int = 1 << 30
    retry_after: float | None = None
    """What it says when it has too many connections."""

    def source(self, layout: Layout, seed: str) -> SourceModel:
        """The same for the simulator; when it flaps follows from the ``seed``."""
        absences: Iterable[Absence] = ()
        if self.flaps:
            silent = self.freezes_at < math.inf
            absences = flapping(self.flaps, self.flaps, silent, random.Random(f"{seed}"))
        elif self.dies_at < self.returns_at:
            absences = [Absence(self.dies_at, self.returns_at, silent=False)]
        elif self.freezes_at < self.thaws_at:
            absences = [Absence(self.freezes_at, self.thaws_at, silent=True)]
        everything = frozenset(range(len(layout.fragments)))
        held = self.holds if self.really_holds is None else self.really_holds
        return SourceModel(
            supply_of(self.bandwidth, absences),
            everything if held is None else held,
            known=self.holds is not None,
            rtt=2 * self.latency,
            ranges=not self.ignores_ranges,
            refuse=self.fail_rate,
            stall=self.stall_rate,
            corrupt=self.corrupt_rate,
            max_connections=self.max_connections,
            retry_after=self.retry_after,
        )


@dataclass
class World:
    """One run; everything may be changed before it."""

    layout: Layout
    models: list[Model]
    options: Options = field(default_factory=Options)
    seed: int = 0
    corrupt_pieces: set[tuple[int, int]] = field(default_factory=set)
    bad_rows: set[tuple[int, int]] = field(default_factory=set)
    """Rows whose parity is no good although its hashes fit."""
    done: set[tuple[int, int]] = field(default_factory=set)
    resumed: set[tuple[int, int]] = field(default_factory=set)
    """Pieces that an earlier run brought."""
    wanted: list[tuple[int, int]] | None = None
    """Runs of numbers of the pieces that are wanted; None: the whole file."""
    decodes: list[Decode] = field(default_factory=list)
    deadline: float = 2e4
    """Virtual seconds after which a run that has not ended is stuck."""
    check_every: int = 1
    """The books are checked after every so many events; 0: never."""

    def run(self) -> Finished | GiveUp:
        """Run to the end, and until all requests are."""
        self._run = Checked(self)
        self.received = round(self._run.run().received)
        self._run.drain()
        self.received_by = [round(link.received) for link in self._run.links]
        assert self._run.ending is not None
        return self._run.ending

    @property
    def now(self) -> float:
        """Virtual seconds that the run took."""
        return self._run.now

    @property
    def planner(self) -> Planner:
        """The planner of the run."""
        return self._run.planner

    @property
    def corrupt_seen(self) -> list[int]:
        """By source: the wrong pieces that it sent."""
        return self._run.corrupt_seen


class Checked(simulator.World):
    """Holds every action of the planner against its contract."""

    def __init__(self, world: World) -> None:
        sources = [
            model.source(world.layout, f"{world.seed}/{number}")
            for number, model in enumerate(world.models)
        ]
        setting = Setting(world.layout, sources, world.options, seed=world.seed)
        super().__init__(setting, deadline=world.deadline)
        self._world = world
        told = [model.holds for model in world.models]
        rng = random.Random(world.seed + 1)
        self.planner = Planner(world.layout, told, world.options, rng, wanted=world.wanted)
        self.planner.already_done(world.resumed)
        world.done |= world.resumed
        self._luck = random.Random(f"{world.seed}/odd")
        self._books = Books(self.planner)
        self._idle_ticks = 0
        self.corrupt_seen = [0] * len(sources)
        self.started: dict[int, Start] = {}
        self.ordered: dict[tuple[int, int], Decode] = {}

    def drain(self) -> None:
        """All requests have ended by now: nothing more may be wanted."""
        for request in list(self.flights):
            self.tell(Cancelled(request))

    def is_corrupt(self, link: Link, fragment: int, piece: int) -> bool:
        wrong = (fragment, piece) in self._world.corrupt_pieces
        return wrong or super().is_corrupt(link, fragment, piece)

    def keeps_to_ranges(self, link: Link) -> bool:
        odd = self._world.models[link.number].odd_rate
        return super().keeps_to_ranges(link) and not (odd and self._luck.random() < odd)

    def _answer(self, flight: Flight, stamp: int) -> None:
        super()._answer(flight, stamp)
        rate = self._world.models[flight.link.number].break_rate
        if rate and flight.active and self._luck.random() < rate:
            pieces = self._luck.choice((0.01, 0.5, 1.5, 3.0))
            seconds = pieces * self.layout.piece_size / flight.link.capacity
            self._at(self.now + seconds, self._break, flight)

    def _break(self, flight: Flight, _stamp: int) -> None:
        if flight.request in self.flights and not (flight.cancelled or flight.doomed):
            self._doom(flight, 0.0, Blame.SOURCE)

    def on_cancel(self, cancel: Cancel) -> None:
        flight = self.flights.get(cancel.request)
        late = self._world.models[flight.link.number].late_rate if flight else 0.0
        if flight and not (flight.waits or flight.doomed) and late and self._luck.random() < late:
            self._at(self.now + 0.0002, self._late, flight, flight.active)
        super().on_cancel(cancel)

    def _late(self, flight: Flight, answered: int) -> None:
        """What its worker had in hand already when it was cancelled."""
        if flight.request not in self.flights or self.ending is not None:
            return
        if answered:
            piece, last = flight.piece, flight.piece + 1 >= flight.end
            wrong = self.is_corrupt(flight.link, flight.start.fragment, piece)
            flight.piece += 1
            if wrong or last:
                self._end(flight)
            self.tell((PieceCorrupt if wrong else PieceDone)(flight.request, piece))
        elif self.keeps_to_ranges(flight.link) or flight.start.whole:
            self.tell(Answered(flight.request))
        else:
            self.tell(RangeIgnored(flight.request))

    def _cancelled(self, flight: Flight, _stamp: int) -> None:
        if flight.request in self.flights:  # a late piece may have ended it
            super()._cancelled(flight, _stamp)

    def is_decodable(self, decode: Decode) -> bool:
        return (decode.set, decode.row) not in self._world.bad_rows

    def tell(self, event: Event) -> None:
        match event:
            case PieceDone(request, piece) | PieceCorrupt(request, piece):
                start = self.started[request]
                if isinstance(event, PieceDone):
                    if self._is_passed_over(request, start.fragment, piece):
                        event = PieceDone(request, piece, placed=False)
                    else:
                        self._world.done.add((start.fragment, piece))
                else:
                    self.corrupt_seen[start.source] += 1
            case Decoded(row=row):
                order = self.ordered[event.set, row]
                self._world.done.update((f, row) for f in order.make)
            case DecodeFailed():
                self._books.row_failed(event.set, event.row)
        super().tell(event)
        every = self._world.check_every
        if every and self.events % every == 0:
            self._books.check(self.now)
        self._check_that_something_comes(event)

    def _is_passed_over(self, request: int, fragment: int, piece: int) -> bool:
        """Whether a whole answer brings a piece of the file that nobody wants."""
        known = self.planner._state.requests.get(request)
        data = self.layout.is_data(fragment)
        return bool(known and known.whole and data and not self.planner.is_wanted(fragment, piece))

    def _check_that_something_comes(self, event: Event) -> None:
        """Without a request in flight or a row to compute, ticks are for sources that wait."""
        if self.flights or self.planner._state.decoding or self.ending is not None:
            self._idle_ticks = 0
            return
        assert self.planner.wake_at is not None, "nothing will ever happen again"
        self._idle_ticks += isinstance(event, Tick)
        assert self._idle_ticks <= 2 + 2 * len(self.links), "it wakes up for nothing"

    def carry_out(self, action: Action) -> None:
        match action:
            case Start():
                self._check_start(action)
            case Trim(request=request, end=end):
                flight = self.flights[request]
                assert flight.piece < end < flight.end
            case Decode():
                self._check_decode(action)
            case Cancel(request=request) | Restart(request=request):
                assert request in self.flights, "an order to nobody"
            case Finished():
                assert self.ending is None, "ended twice"
            case GiveUp():
                assert self.ending is None, "ended twice"
                # Of a selection, hope takes what is not wanted of a row to be there: see ``judge``.
                hope = self._world.wanted is None and is_hope(self.planner._state)
                assert not hope, "given up too early"
        super().carry_out(action)
        if isinstance(action, Start):
            options = self._world.options
            turn = [f for f in self.links[action.source].flights.values() if not f.waits]
            assert len(turn) <= options.connections, "too many connections"
            assert sum(not f.waits for f in self.flights.values()) <= options.max_requests

    def _check_start(self, start: Start) -> None:
        assert self.ending is None, "a request after the end"
        assert 0 <= start.start < start.end <= self.layout.pieces_of(start.fragment)
        pieces = range(start.start, start.end)
        there = all((start.fragment, piece) in self._world.done for piece in pieces)
        assert not (start.whole and there), "a whole request for what is there"
        held = self._world.models[start.source].holds
        assert held is None or start.fragment in held
        if start.behind >= 0:
            before = self.flights[start.behind]
            assert before.link.number == start.source
            assert before.follower is None, "two requests wait for one"
        self.started[start.request] = start

    def _check_decode(self, decode: Decode) -> None:
        """All that the row needs is in place, nothing is made anew."""
        assert self.ending is None, "a row after the end"
        members = self.layout.sets[decode.set]
        done = self._world.done
        assert decode.make, "nothing to make"
        assert len(decode.parity) == len(decode.make)
        assert all((f, decode.row) in done for f in decode.parity)
        for fragment in members.data:
            if decode.row < self.layout.pieces_of(fragment):
                there = (fragment, decode.row) in done
                assert there == (fragment not in decode.make), "a row of the wrong pieces"
        self._world.decodes.append(decode)
        self.ordered[decode.set, decode.row] = decode
