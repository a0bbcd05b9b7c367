"""A modelled network in virtual time: runs the real planner with no sockets and no sleeping.

Every source has a bandwidth that its connections share evenly, a latency, and a script of
failures. The world keeps the invariants itself and breaks the run where one is violated.
"""

from __future__ import annotations

import heapq
import random
from dataclasses import dataclass, field

from regather.model import Fragment, Layout
from regather.planner import (
    Action,
    Answered,
    Begin,
    Blame,
    Cancel,
    Cancelled,
    Decode,
    Decoded,
    DecodeFailed,
    Event,
    Failed,
    Finished,
    GiveUp,
    Options,
    PieceCorrupt,
    PieceDone,
    Planner,
    Progress,
    RangeIgnored,
    Restart,
    Start,
    Tick,
    Trim,
)

STALL_TIMEOUT = 15.0
PROGRESS_SECONDS = 0.25


@dataclass
class Model:
    """One source. Bandwidth in bytes a second, times in seconds."""

    bandwidth: float = 50e6
    latency: float = 0.01
    holds: frozenset[int] | None = None
    really_holds: frozenset[int] | None = None
    """What it has where ``holds`` is None: the planner must find out."""
    dies_at: float = float("inf")
    returns_at: float = float("inf")
    freezes_at: float = float("inf")
    """From then on it accepts requests and never sends a byte."""
    fail_rate: float = 0.0
    corrupt_rate: float = 0.0
    stall_rate: float = 0.0
    ignores_ranges: bool = False

    def up(self, now: float) -> bool:
        return not self.dies_at <= now < self.returns_at


@dataclass
class Flight:
    start: Start
    end: int
    piece: int
    received: float = 0.0
    since: float = 0.0
    stalled: bool = False
    open: bool = False
    version: int = 0
    cancelled: bool = False
    looked: float = 0.0
    sent: float = 0.0


@dataclass
class World:
    layout: Layout
    models: list[Model]
    options: Options = field(default_factory=Options)
    seed: int = 0
    deadline: float = 2e4

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.now = 0.0
        self.planner = Planner(
            self.layout, [m.holds for m in self.models], self.options, random.Random(self.seed + 1)
        )
        self.flights: dict[int, Flight] = {}
        self.waiting: dict[int, int] = {}
        """By request: the one that waits behind it on its connection."""
        self.queue: list[tuple[float, int, int, str, int]] = []
        self.counter = 0
        self.received = 0
        self.received_by = [0] * len(self.models)
        self.done: set[tuple[int, int]] = set()
        self.ending: Finished | GiveUp | None = None
        self.events = 0
        self.corrupt_seen = [0] * len(self.models)
        self.decodes: list[Decode] = []
        self.decode_seconds = 0.001
        self.bad_rows: set[tuple[int, int]] = set()
        """Rows whose parity is no good although its hashes fit."""
        self.corrupt_pieces: set[tuple[int, int]] = set()

    # -- the clock ------------------------------------------------------------------------

    def at(self, when: float, what: str, request: int = -1, version: int = 0) -> None:
        self.counter += 1
        heapq.heappush(self.queue, (when, self.counter, request, what, version))

    def run(self) -> Finished | GiveUp:
        self.tell(Begin())
        while self.ending is None or self.flights:
            wake = self.planner.wake_at
            if wake is not None and (not self.queue or wake <= self.queue[0][0]):
                self.now = max(self.now, wake)
                assert self.now < self.deadline, "the run does not end"
                self.tell(Tick())
                continue
            assert self.queue, "nothing will ever happen again: the run hangs"
            when, _, request, what, version = heapq.heappop(self.queue)
            assert when < self.deadline, "the run does not end"
            self.now = max(self.now, when)
            if what == "decoded":
                self.on_decoded(self.decodes[version])
                continue
            flight = self.flights.get(request)
            if flight is not None and flight.version == version:
                getattr(self, "on_" + what)(request, flight)
        return self.ending

    def tell(self, event: Event) -> None:
        self.events += 1
        for action in self.planner.handle(event, self.now):
            self.carry_out(action)

    # -- actions --------------------------------------------------------------------------

    def carry_out(self, action: Action) -> None:
        match action:
            case Start():
                assert self.ending is None, "a request after the end"
                assert 0 <= action.start < action.end <= self.layout.pieces_of(action.fragment)
                held = self.models[action.source].holds
                assert held is None or action.fragment in held
                flight = Flight(action, action.end, action.start, sent=self.now)
                self.flights[action.request] = flight
                if action.behind >= 0:
                    ahead = self.flights[action.behind]
                    assert ahead.start.source == action.source
                    assert action.behind not in self.waiting, "two requests wait for one"
                    self.waiting[action.behind] = action.request
                    return
                under_way = [f for r, f in self.flights.items() if not self.waits(r)]
                same = [f for f in under_way if f.start.source == action.source]
                assert len(same) <= self.options.connections, "too many connections"
                assert len(under_way) <= self.options.max_requests
                self.open_flight(action.request)
            case Trim(request=request, end=end):
                flight = self.flights[request]
                assert flight.piece < end < flight.end
                flight.end = end
            case Restart(request=request, end=end):
                flight = self.flights[request]
                flight.piece, flight.end, flight.received = 0, end, 0.0
            case Cancel(request=request):
                flight = self.flights[request]
                flight.version += 1
                flight.cancelled = True
                if self.waits(request):
                    return
                self.at(self.now + 0.0005, "cancelled", request, flight.version)
            case Decode():
                self.order_decode(action)
            case Finished() | GiveUp():
                assert self.ending is None, "ended twice"
                self.ending = action

    def order_decode(self, action: Decode) -> None:
        """Keep the contract of Decode: all that the row needs is in place, nothing is made anew."""
        assert self.ending is None, "a row after the end"
        members = self.layout.sets[action.set]
        assert action.make, "nothing to make"
        assert len(action.parity) == len(action.make)
        assert all((f, action.row) in self.done for f in action.parity)
        for fragment in members.data:
            if action.row < self.layout.pieces_of(fragment):
                there = (fragment, action.row) in self.done
                assert there == (fragment not in action.make), "a row of the wrong pieces"
        self.decodes.append(action)
        self.at(self.now + self.decode_seconds, "decoded", -1, len(self.decodes) - 1)

    def waits(self, request: int) -> bool:
        """Whether a request waits for the one before it on its connection."""
        return request in self.waiting.values()

    def drop(self, request: int, *, kept: bool = False) -> None:
        """A request has ended; the one behind it has its turn, on the same connection if kept."""
        del self.flights[request]
        following = self.waiting.pop(request, None)
        if following is None:
            return
        flight = self.flights[following]
        if flight.cancelled:
            self.at(self.now, "cancelled", following, flight.version)
        else:
            self.open_flight(following, kept=kept)

    def open_flight(self, request: int, *, kept: bool = False) -> None:
        flight = self.flights[request]
        model = self.models[flight.start.source]
        if not model.up(self.now):
            self.at(self.now + model.latency, "refused", request, flight.version)
        elif model.really_holds is not None and flight.start.fragment not in model.really_holds:
            self.at(self.now + 2 * model.latency, "missing", request, flight.version)
        elif self.rng.random() < model.fail_rate:
            self.at(self.now + 2 * model.latency, "refused", request, flight.version)
        else:
            flight.stalled = self.rng.random() < model.stall_rate
            if self.now >= model.freezes_at:
                self.at(self.now + STALL_TIMEOUT, "refused", request, flight.version)
                return
            asked = flight.sent if kept else self.now
            when = max(self.now, asked + 2 * model.latency)
            self.at(when, "answer", request, flight.version)

    def rate(self, source: int) -> float:
        open_flights = [f for f in self.flights.values() if f.start.source == source and f.open]
        return self.models[source].bandwidth / max(len(open_flights), 1)

    def settle(self, flight: Flight) -> None:
        if flight.open and not flight.stalled:
            flight.received += self.rate(flight.start.source) * (self.now - flight.since)
        flight.since = self.now

    def schedule(self, request: int, flight: Flight) -> None:
        """When will this flight's next piece be whole, if the rate stays as it is?"""
        if flight.cancelled:
            return
        flight.version += 1
        model = self.models[flight.start.source]
        if flight.stalled:
            self.at(self.now + STALL_TIMEOUT, "refused", request, flight.version)
            return
        if self.now >= model.freezes_at:
            flight.stalled = True
            self.at(self.now + STALL_TIMEOUT, "refused", request, flight.version)
            return
        left = self.layout.length(flight.start.fragment, flight.piece) - flight.received
        when = self.now + max(left, 0.0) / self.rate(flight.start.source)
        if model.dies_at <= when and model.dies_at >= self.now:
            self.at(model.dies_at, "refused", request, flight.version)
        elif self.now < model.freezes_at <= when:
            self.at(model.freezes_at, "freeze", request, flight.version)
        elif when > flight.looked + PROGRESS_SECONDS:
            self.at(
                max(self.now, flight.looked + PROGRESS_SECONDS), "look", request, flight.version
            )
        else:
            self.at(when, "piece", request, flight.version)

    def reschedule(self, source: int) -> None:
        for request, flight in self.flights.items():
            if flight.start.source == source and flight.open:
                self.schedule(request, flight)

    def settle_all(self, source: int) -> None:
        for flight in self.flights.values():
            if flight.start.source == source:
                self.settle(flight)

    # -- what happens ---------------------------------------------------------------------

    def on_answer(self, request: int, flight: Flight) -> None:
        source = flight.start.source
        self.settle_all(source)
        flight.open = True
        flight.since = flight.looked = self.now
        if self.models[source].ignores_ranges and not flight.start.whole:
            self.tell(RangeIgnored(request))
        else:
            self.tell(Answered(request))
        self.reschedule(source)

    def on_look(self, request: int, flight: Flight) -> None:
        self.settle_all(flight.start.source)
        flight.looked = self.now
        self.tell(Progress(request, int(flight.received)))
        self.reschedule(flight.start.source)

    def on_piece(self, request: int, flight: Flight) -> None:
        source, fragment, piece = flight.start.source, flight.start.fragment, flight.piece
        self.settle_all(source)
        size = self.layout.length(fragment, piece)
        self.received += size
        self.received_by[source] += size
        flight.received = 0.0
        flight.looked = self.now
        already = self.planner.is_done(fragment, piece)
        wrong = (fragment, piece) in self.corrupt_pieces
        if not already and (wrong or self.rng.random() < self.models[source].corrupt_rate):
            self.corrupt_seen[source] += 1
            self.drop(request)
            self.tell(PieceCorrupt(request, piece))
        else:
            flight.piece += 1
            self.done.add((fragment, piece))
            if flight.piece >= flight.end:
                self.drop(request, kept=True)
            self.tell(PieceDone(request, piece))
        self.reschedule(source)

    def on_decoded(self, action: Decode) -> None:
        if self.ending is not None:
            return
        if (action.set, action.row) in self.bad_rows:
            self.tell(DecodeFailed(action.set, action.row))
            return
        self.done.update((f, action.row) for f in action.make)
        self.tell(Decoded(action.set, action.row))

    def on_freeze(self, request: int, flight: Flight) -> None:
        self.settle_all(flight.start.source)
        self.schedule(request, flight)

    def on_refused(self, request: int, flight: Flight) -> None:
        self.fail(request, flight, Blame.SOURCE)

    def on_missing(self, request: int, flight: Flight) -> None:
        self.fail(request, flight, Blame.FRAGMENT)

    def fail(self, request: int, flight: Flight, blame: Blame) -> None:
        self.settle_all(flight.start.source)
        self.drop(request)
        self.tell(Failed(request, blame))
        self.reschedule(flight.start.source)

    def on_cancelled(self, request: int, flight: Flight) -> None:
        self.settle_all(flight.start.source)
        self.received += int(flight.received)
        self.drop(request)
        self.tell(Cancelled(request))
        self.reschedule(flight.start.source)


def layout_of(
    sizes: list[int], piece_size: int = 1 << 20, parity: int = 0, set_size: int = 0
) -> Layout:
    """A layout of fragments of the given sizes, and their parity, without hashes."""
    fragments: list[Fragment] = []
    offset = 0
    set_size = set_size or len(sizes)
    for n, size in enumerate(sizes):
        number = n // set_size + 1 if parity else 0
        fragments.append(Fragment(n + 1, f"file_fragment_{n + 1}.dat", offset, size, set=number))
        offset += size
    total = offset
    for first in range(0, len(sizes) if parity else 0, set_size):
        longest = max(sizes[first : first + set_size])
        for n in range(parity):
            index, number = len(fragments) + 1, first // set_size + 1
            name = f"file_parity_{number}_{n + 1}.dat"
            fragments.append(Fragment(index, name, offset, longest, kind="parity", set=number))
            offset += longest
    return Layout(total, piece_size, tuple(fragments))
