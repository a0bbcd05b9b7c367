"""The simulator of ``bench.simulate`` for tests: sources in few words, promises that are kept.

The world keeps the invariants itself and breaks the run where one is violated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from bench.simulate.links import Link
from bench.simulate.setting import Setting, SourceModel, layout_of
from bench.simulate.supply import Absence, supply_of

from bench.simulate import world as simulator
from regather.model import Layout
from regather.planner import (
    Action,
    Cancelled,
    Decode,
    Decoded,
    Event,
    Finished,
    GiveUp,
    Options,
    PieceCorrupt,
    PieceDone,
    Planner,
    Start,
    Trim,
)

__all__ = ["Model", "World", "layout_of"]


@dataclass
class Model:
    """One source. Bandwidth in bytes a second, times in seconds."""

    bandwidth: float = 50e6
    latency: float = 0.01
    """One way."""
    holds: frozenset[int] | None = None
    really_holds: frozenset[int] | None = None
    """What it has where ``holds`` is None: the planner must find out."""
    dies_at: float = math.inf
    returns_at: float = math.inf
    freezes_at: float = math.inf
    """From then on it accepts requests and never sends a byte."""
    fail_rate: float = 0.0
    corrupt_rate: float = 0.0
    stall_rate: float = 0.0
    ignores_ranges: bool = False

    def source(self, layout: Layout) -> SourceModel:
        """The same for the simulator."""
        absences: list[Absence] = []
        if self.dies_at < self.returns_at:
            absences.append(Absence(self.dies_at, self.returns_at, silent=False))
        elif self.freezes_at < math.inf:
            absences.append(Absence(self.freezes_at, math.inf, silent=True))
        everything = frozenset(range(len(layout.fragments)))
        held = self.really_holds if self.holds is None else self.holds
        return SourceModel(
            supply_of(self.bandwidth, absences),
            everything if held is None else held,
            known=self.holds is not None,
            rtt=2 * self.latency,
            ranges=not self.ignores_ranges,
            refuse=self.fail_rate,
            stall=self.stall_rate,
            corrupt=self.corrupt_rate,
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
    decodes: list[Decode] = field(default_factory=list)

    def run(self) -> Finished | GiveUp:
        """Run to the end, and until all requests are."""
        self._run = _Checked(self)
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


class _Checked(simulator.World):
    """Holds every action of the planner against its contract."""

    def __init__(self, world: World) -> None:
        sources = [model.source(world.layout) for model in world.models]
        setting = Setting(world.layout, sources, world.options, seed=world.seed)
        super().__init__(setting, deadline=2e4)
        self._world = world
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

    def is_decodable(self, decode: Decode) -> bool:
        return (decode.set, decode.row) not in self._world.bad_rows

    def tell(self, event: Event) -> None:
        match event:
            case PieceDone(request, piece) | PieceCorrupt(request, piece):
                start = self.started[request]
                if isinstance(event, PieceDone):
                    self._world.done.add((start.fragment, piece))
                else:
                    self.corrupt_seen[start.source] += 1
            case Decoded(row=row):
                order = self.ordered[event.set, row]
                self._world.done.update((f, row) for f in order.make)
        super().tell(event)

    def carry_out(self, action: Action) -> None:
        match action:
            case Start():
                self._check_start(action)
            case Trim(request=request, end=end):
                flight = self.flights[request]
                assert flight.piece < end < flight.end
            case Decode():
                self._check_decode(action)
            case Finished() | GiveUp():
                assert self.ending is None, "ended twice"
        super().carry_out(action)
        if isinstance(action, Start):
            options = self._world.options
            turn = [f for f in self.links[action.source].flights.values() if not f.waits]
            assert len(turn) <= options.connections, "too many connections"
            assert sum(not f.waits for f in self.flights.values()) <= options.max_requests

    def _check_start(self, start: Start) -> None:
        assert self.ending is None, "a request after the end"
        assert 0 <= start.start < start.end <= self.layout.pieces_of(start.fragment)
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
