"""A plan for reads in virtual time: modelled servers, readers, and what must hold at every step.

Nothing of ours is replaced: the plan and its cache are real, the world does what the fetcher does,
with events of a heap in place of threads and sockets.
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from regather.model import Fragment, FragmentIndex, Layout
from regather.reading.cache import Cache
from regather.reading.plan import Plan
from regather.reading.wants import Action, Cancel, Decode, Start

PIECE = 1024
_TICK = 0.1
_GULP = 0.2
_TIMEOUT = 15.0
"""Seconds after which the transport gives up a connection that says nothing."""


def layout_of(sizes: Sequence[int], *, parity: int = 0, set_size: int = 0) -> Layout:
    """Data fragments of so many bytes, each ``set_size`` of them (0: all) with ``parity``."""
    fragments = []
    offset = 0
    each = set_size or len(sizes)
    for position, size in enumerate(sizes):
        number = position // each + 1 if parity else 0
        fragments.append(
            Fragment(FragmentIndex(position + 1), f"d{position}", offset, size, b"", "data", number)
        )
        offset += size
    for first in range(0, len(sizes) if parity else 0, each):
        largest = max(sizes[first : first + each])
        for _ in range(parity):
            index = len(fragments) + 1
            number = first // each + 1
            fragments.append(
                Fragment(FragmentIndex(index), f"p{index}", 0, largest, b"", "parity", number)
            )
    return Layout(offset, PIECE, tuple(fragments))


@dataclass
class Server:
    """One source, as it really is. Times in seconds, rates in bytes a second a connection."""

    holds: frozenset[int] | None = None
    """Fragments that it has; None: all."""
    told: bool = True
    """Whether the plan knows what it holds."""
    rate: float = 1e6
    latency: float = 0.01
    dead: tuple[float, float] = (math.inf, math.inf)
    """Refuses everything from, until."""
    silent: tuple[float, float] = (math.inf, math.inf)
    """Accepts requests and sends nothing from, until."""
    lies: frozenset[int] = frozenset()
    """Pieces that it sends wrong, by their running numbers."""
    fails: float = 0.0
    """Share of requests that break off at some piece."""
    whole: bool = False
    """Ignores ranges."""
    most: int = 100
    """Requests at a time; further ones are refused as busy,"""
    pause: float | None = None
    """with so many seconds as Retry-After."""


@dataclass
class Reader:
    """Reads pieces in order, as ``Fetcher.pieces`` does."""

    numbers: list[int]
    ahead: list[int] = field(default_factory=list)
    window: int = 4
    asked: int = 0
    done: int = 0
    failed: int | None = None
    ended_at: float = math.inf

    @property
    def over(self) -> bool:
        return self.ended_at < math.inf


@dataclass
class _Flight:
    start: Start
    server: Server
    piece: int
    cancelled: bool = False
    over: bool = False


class World:
    """Runs readers over servers until all are through, and checks every action of the plan."""

    def __init__(
        self,
        layout: Layout,
        servers: Sequence[Server],
        *,
        cache: int = 64 * PIECE,
        connections: int = 8,
        max_requests: int = 16,
        retries: int = 5,
        seed: int = 0,
    ) -> None:
        self.layout, self.servers = layout, servers
        self.now = 0.0
        self.cache = Cache(cache)
        self.connections, self.max_requests = connections, max_requests
        holdings = [s.holds if s.told else None for s in servers]
        self.plan = Plan(
            layout,
            holdings,
            self.cache,
            connections=connections,
            retries=retries,
            max_requests=max_requests,
            rng=random.Random(seed),
        )
        self.rng = random.Random(seed + 1)
        self.readers: list[Reader] = []
        self.starts: list[tuple[float, Start]] = []
        self.sent = 0
        """Bytes of pieces that arrived, wrong ones included."""
        self.decoded: list[Decode] = []
        self._flights: dict[int, _Flight] = {}
        self._ahead: set[int] = set()
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._ticking = False

    # -- readers --------------------------------------------------------------------------

    def read(self, numbers: Sequence[int], *, at: float = 0.0, window: int = 4) -> Reader:
        """Let a reader begin at a time; the pieces are those of the file, by running number."""
        reader = Reader(list(numbers), window=window)
        self.readers.append(reader)
        self.after(at - self.now, lambda: self._go_on(reader))
        return reader

    def ahead(self, numbers: Sequence[int]) -> None:
        """What a reader would probably need next, from now on."""
        self._ahead = set(numbers)
        if self.plan.ahead(numbers):
            self.decide()

    def give_up(self, reader: Reader) -> None:
        """A reader is closed in the middle of its read."""
        for number in reader.numbers[reader.done : reader.asked]:
            self.plan.release(number)
        reader.ended_at = self.now

    def _go_on(self, reader: Reader) -> None:
        while not reader.over:
            while reader.asked < min(reader.done + reader.window, len(reader.numbers)):
                self.plan.want(reader.numbers[reader.asked])
                reader.asked += 1
            if reader.done == len(reader.numbers):
                reader.ended_at = self.now
                return
            number = reader.numbers[reader.done]
            if self.cache.get(number) is None:
                if number in self.plan.failed:
                    reader.failed = number
                    self.give_up(reader)
                break
            self.plan.release(number)
            reader.done += 1
        self.decide()
        if not self._ticking:
            self._ticking = True
            self.after(_TICK, self._tick)

    def _tick(self) -> None:
        self._ticking = False
        for reader in self.readers:
            if reader.asked and not reader.over:
                self._go_on(reader)

    # -- time -----------------------------------------------------------------------------

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + max(seconds, 0.0), next(self._order), do))

    def run(self, until: float = 600.0) -> None:
        """Let time pass until nothing happens any more; afterwards nothing may be left."""
        while self._due:
            self.now, _, do = heapq.heappop(self._due)
            assert self.now <= until, f"nothing but waiting: {self.readers}"
            do()
            self._check_cache()
        assert all(reader.over for reader in self.readers), "a reader was forgotten"
        self._check_nothing_left()

    # -- what the plan does ---------------------------------------------------------------

    def decide(self) -> None:
        for action in self.plan.decide(self.now):
            self._carry_out(action)

    def _carry_out(self, action: Action) -> None:
        match action:
            case Start():
                self._check_start(action)
                self.starts.append((self.now, action))
                flight = _Flight(action, self.servers[action.source], action.start)
                self._flights[action.request] = flight
                self._begin(flight)
            case Cancel():
                flight = self._flights[action.request]
                assert not flight.cancelled
                flight.cancelled = True
                self.after(0.001, lambda: self._end(flight, self.plan.ended))
            case Decode():
                self._check_decode(action)
                self.decoded.append(action)
                self.after(0.002, lambda: self._decoded(action))

    def _decoded(self, order: Decode) -> None:
        for member in order.make:
            self._put(member, order.row)
        self.plan.decoded(order.set, order.row, True)
        self._wake()

    def _wake(self) -> None:
        self.decide()
        for reader in self.readers:
            if reader.asked and not reader.over:
                self._go_on(reader)

    def _put(self, fragment: int, piece: int) -> None:
        number = self.layout.number(fragment, piece)
        length = self.layout.length(fragment, piece)
        self.cache.put(number, memoryview(bytes([number % 256]) * length))

    # -- requests -------------------------------------------------------------------------

    def _begin(self, flight: _Flight) -> None:
        server, start = flight.server, flight.start
        busy = sum(f.server is server for f in self._flights.values()) > server.most
        wait = 2 * server.latency
        if server.dead[0] <= self.now < server.dead[1] or busy:
            self.after(wait, lambda: self._fail(flight, busy=busy))
        elif server.holds is not None and start.fragment not in server.holds:
            self.after(wait, lambda: self._end(flight, self.plan.fragment_absent))
        elif server.silent[0] <= self.now < server.silent[1]:
            self.after(_TIMEOUT, lambda: self._fail(flight))
        else:
            self.after(wait, lambda: self._answer(flight))

    def _answer(self, flight: _Flight) -> None:
        if flight.over:
            return
        start = flight.start
        self.plan.answered(start.request, self.now)
        skipped = 0
        if flight.server.whole and start.start:
            if not start.drain:
                self._end(flight, self.plan.ranges_ignored)
                return
            skipped = start.start * PIECE
        self.after(skipped / flight.server.rate, lambda: self._piece(flight))

    def _piece(self, flight: _Flight) -> None:
        """The next piece is on its way, in gulps of a fifth of a second at most."""
        server = flight.server
        if flight.over:
            return
        if server.silent[0] <= self.now < server.silent[1]:
            self.after(_TIMEOUT, lambda: self._fail(flight))
            return
        if server.dead[0] <= self.now < server.dead[1] or self.rng.random() < server.fails:
            self._fail(flight)
            return
        length = self.layout.length(flight.start.fragment, flight.piece)
        seconds = length / server.rate

        gulps = min(length, 2 + int(seconds / _GULP))

        def gulp() -> None:
            if not flight.over:
                self.plan.progress(flight.start.request, length // gulps, self.now)

        for number in range(1, gulps):
            self.after(seconds * number / gulps, gulp)
        rest = length - length // gulps * (gulps - 1)
        self.after(seconds, lambda: self._arrived(flight, rest))

    def _arrived(self, flight: _Flight, rest: int) -> None:
        if flight.over:
            return
        start, piece = flight.start, flight.piece
        self.plan.progress(start.request, rest, self.now)
        length = self.layout.length(start.fragment, piece)
        self.sent += length
        if self.layout.number(start.fragment, piece) in flight.server.lies:
            self._end(flight, lambda r: self.plan.piece_corrupt(r, piece, self.now))
            return
        self._put(start.fragment, piece)
        flight.piece += 1
        if self.plan.piece_done(start.request, piece, self.now):
            assert flight.piece < start.end
            self._piece(flight)
            self._wake()
        else:
            self._end(flight, self.plan.ended)

    def _fail(self, flight: _Flight, *, busy: bool = False) -> None:
        pause = flight.server.pause if busy else None
        self._end(
            flight,
            lambda r: self.plan.source_failed(r, self.now, busy=busy, pause=pause),
        )

    def _end(self, flight: _Flight, tell: Callable[[int], None]) -> None:
        if not flight.over:
            flight.over = True
            del self._flights[flight.start.request]
            tell(flight.start.request)
            self._wake()

    # -- what must hold -------------------------------------------------------------------

    def _check_start(self, start: Start) -> None:
        layout = self.layout
        assert 0 <= start.start < start.end <= layout.pieces_of(start.fragment)
        told = self.servers[start.source]
        assert not told.told or told.holds is None or start.fragment in told.holds
        assert len(self._flights) < self.max_requests, "more requests than allowed"
        beside = sum(f.start.source == start.source for f in self._flights.values())
        assert beside < self.connections, "more connections than allowed"
        for piece in range(start.start, start.end):
            number = layout.number(start.fragment, piece)
            assert number not in self.cache, "asked for what is here"
            assert self.cache.pinned(number) or number in self._ahead, "nobody wants it"

    def _check_decode(self, order: Decode) -> None:
        layout = self.layout
        members = layout.sets[order.set]
        assert len(set(order.have)) == len(members.data)
        assert order.make
        for member in order.have:
            assert (
                layout.pieces_of(member) <= order.row
                or layout.number(member, order.row) in self.cache
            )
        for member in order.make:
            number = layout.number(member, order.row)
            assert layout.is_data(member)
            assert number not in self.cache
            assert self.cache.pinned(number)

    def _check_cache(self) -> None:
        pieces = self.cache._pieces
        assert self.cache.size == sum(map(len, pieces.values()))
        loose = sum(len(p) for n, p in pieces.items() if not self.cache.pinned(n))
        pinned = self.cache.size - loose
        assert self.cache.size <= max(self.cache.limit, pinned), "the cache is not bounded"

    def _check_nothing_left(self) -> None:
        plan = self.plan
        assert not plan._requests
        assert not self.cache._pins, "pins are left"
        assert set(plan._wanted.wants) <= set(plan._wanted.ahead)
        assert not plan._rows._members
        assert not plan.failed
        assert all(health.active == 0 for health in plan.holders.health)
        assert all(count == 0 for count in plan.holders.late.values())
