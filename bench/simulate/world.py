"""The modelled network in virtual time: carries out what the real planner orders.

An event heap; nothing sleeps. What engine.py promises to the planner is kept: Progress every
0.25 s of an unfinished piece, one PieceDone a piece, a slot that stays taken until Cancelled.
"""

from __future__ import annotations

import heapq
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bench.simulate.links import Bottleneck, Flight, Link
from bench.simulate.setting import Setting
from bench.simulate.supply import Mode
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

PROGRESS_SECONDS = 0.25
_CANCEL_SECONDS = 0.0005
"""Between a Cancel and its Cancelled."""
_SAME_TIME = 100_000
"""Events at one moment, beyond a thousand a source, after which the run is stuck."""
_WATCH_EVENTS = 4096
_ANYHOW = -1
"""A time-out that no thaw averts."""


class Stuck(Exception):
    """The run does not end."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one run. Times in virtual seconds, save those of the processor."""

    ending: Finished | GiveUp
    makespan: float
    received: float
    """Bytes of bodies, wanted or not."""
    tail_began: float
    """When 95 % of the file were in place."""
    requests: int
    events: int
    actions: int
    planner_seconds: float
    """Processor time inside the planner."""
    total_seconds: float
    """Processor time of the whole run."""
    rows_decoded: int


class World:
    """Runs one planner over one setting, once."""

    def __init__(self, setting: Setting, *, deadline: float = 1e6) -> None:
        """After ``deadline`` virtual seconds the run is stuck."""
        self.setting = setting
        self.layout = setting.layout
        self.now = 0.0
        self.deadline = deadline
        self.rng = random.Random(f"{setting.seed}/world")
        holdings = [m.holds if m.known else None for m in setting.sources]
        self.planner = Planner(
            setting.layout, holdings, setting.options, random.Random(setting.seed + 1)
        )
        self.links = [Link(n, model) for n, model in enumerate(setting.sources)]
        self.bottlenecks = [Bottleneck(bandwidth) for bandwidth in setting.bottlenecks]
        for link in self.links:
            if link.model.bottleneck >= 0:
                self.bottlenecks[link.model.bottleneck].links.append(link)
        self.flights: dict[int, Flight] = {}
        self.ending: Finished | GiveUp | None = None
        self.events = self.actions = self.decoded = 0
        self._planner_seconds = 0.0
        """On the clock: reading the processor's time costs more than an event."""
        self.tail_began = 0.0
        self._tail = self.layout.size * 95 // 100
        self._queue: list[tuple[float, int, Callable[[Any, int], None], Any, int]] = []
        self._order = 0
        self._dirty: list[Link] = []
        self._decoder_free = 0.0
        self._carry: dict[type, Callable[[Any], None]] = {
            Start: self.on_start,
            Trim: self.on_trim,
            Restart: self.on_restart,
            Cancel: self.on_cancel,
            Decode: self.on_decode,
            Finished: self.on_ending,
            GiveUp: self.on_ending,
        }

    # -- the clock ------------------------------------------------------------------------

    def run(self, watch: Callable[[World], None] | None = None) -> Outcome:
        """Run to the end; ``watch`` is called now and then. Raises Stuck."""
        began, cpu_began = time.perf_counter(), time.thread_time()
        for link in self.links:
            self._step(link, 0)
        self.tell(Begin())
        planner, queue = self.planner, self._queue
        count = same = 0
        while self.ending is None:
            self._flush()
            wake = planner.wake_at
            if wake is not None and (not queue or wake <= queue[0][0]):
                when, what, subject, stamp = wake, None, None, 0
            elif queue:
                when, _, what, subject, stamp = heapq.heappop(queue)
            else:
                raise Stuck(f"nothing will ever happen again after {self.now:.3f} s")
            same = 0 if when > self.now else same + 1
            if when > self.deadline or same > _SAME_TIME + 1000 * len(self.links):
                raise Stuck(f"no end after {self.now:.3f} s")
            self.now = max(self.now, when)
            if what is None:
                self.tell(Tick())
            else:
                what(subject, stamp)
            count += 1
            if watch is not None and count % _WATCH_EVENTS == 0:
                watch(self)
        for link in self.links:
            link.settle(self.now)
        under_way = sum(flight.received() for flight in self.flights.values() if flight.active)
        total, clock = time.thread_time() - cpu_began, time.perf_counter() - began
        return Outcome(
            self.ending,
            self.now,
            sum(link.received for link in self.links) + under_way,
            self.tail_began,
            sum(link.requests for link in self.links),
            self.events,
            self.actions,
            # Others on the machine hold up planner and simulator alike.
            self._planner_seconds / clock * total,
            total,
            self.decoded,
        )

    def tell(self, event: Event) -> None:
        """Let the planner handle an event, and carry out what it answers."""
        began = time.perf_counter()
        actions = self.planner.handle(event, self.now)
        self._planner_seconds += time.perf_counter() - began
        self.events += 1
        self.actions += len(actions)
        for action in actions:
            self.carry_out(action)

    def carry_out(self, action: Action) -> None:
        """Do what the planner wants."""
        self._carry[type(action)](action)

    def _at(
        self, when: float, what: Callable[[Any, int], None], subject: object, stamp: int = 0
    ) -> None:
        self._order += 1
        heapq.heappush(self._queue, (when, self._order, what, subject, stamp))

    # -- rates ----------------------------------------------------------------------------

    def _touch(self, link: Link) -> None:
        """Its rate, or what comes next from it, may have changed."""
        if not link.dirty:
            link.dirty = True
            self._dirty.append(link)

    def _flush(self) -> None:
        if not self._dirty:
            return
        shared: set[int] = set()
        for link in self._dirty:
            link.dirty = False
            if link.model.bottleneck >= 0:
                shared.add(link.model.bottleneck)
            link.settle(self.now)
            if link.model.bottleneck < 0:
                link.rate = link.demand / link.active if link.active else 0.0
                self._plan_due(link)
        for number in sorted(shared):
            for link, rate in self.bottlenecks[number].divide():
                if rate != link.rate or link in self._dirty:
                    link.settle(self.now)
                    link.rate = rate
                    self._plan_due(link)
        self._dirty.clear()

    def _plan_due(self, link: Link) -> None:
        link.stamp += 1
        due = link.next_due()
        if due < math.inf:
            self._at(due, self._due, link, link.stamp)

    def _due(self, link: Link, stamp: int) -> None:
        if stamp != link.stamp:
            return
        self._touch(link)
        for flight in link.whole(self.now):
            self._piece(flight, link)
            if self.ending is not None:
                return

    # -- sources over time ----------------------------------------------------------------

    def _step(self, link: Link, number: int) -> None:
        step = link.model.supply.step(number)
        assert step is not None
        link.settle(self.now)
        self._touch(link)
        before, link.mode, link.capacity = link.mode, step.mode, step.rate
        if (following := link.model.supply.step(number + 1)) is not None:
            self._at(following.time, self._step, link, number + 1)
        if step.mode is before:
            return
        if before is Mode.FROZEN:
            link.frozen_times += 1
            for flight in [f for f in link.flights.values() if f.deferred]:
                flight.deferred = False
                self._at(self.now, self._answer, flight, flight.stamp)
        if step.mode is Mode.DOWN:
            link.idle = 0
            for flight in link.flights.values():
                if not (flight.cancelled or flight.doomed or flight.waits):
                    self._doom(flight, link.model.detect, Blame.SOURCE)
        elif step.mode is Mode.FROZEN:
            for flight in link.flights.values():
                self._at(
                    self.now + self.setting.timeout, self._timed_out, flight, link.frozen_times
                )

    def _timed_out(self, flight: Flight, frozen_times: int) -> None:
        moving = frozen_times not in (_ANYHOW, flight.link.frozen_times)
        over = flight.request not in self.flights or flight.cancelled or flight.doomed
        if not (moving or over):
            self._doom(flight, 0.0, Blame.SOURCE)

    def _doom(self, flight: Flight, delay: float, blame: Blame) -> None:
        """It fails after ``delay``; nothing of it comes until then."""
        flight.doomed = True
        flight.stamp += 1
        self._stop(flight)
        self._at(self.now + delay, self._fail, flight, list(Blame).index(blame))

    def _stop(self, flight: Flight) -> None:
        if flight.active:
            link = flight.link
            link.settle(self.now)
            link.leave(flight)
            link.received += flight.partial
            self._touch(link)

    def _end(self, flight: Flight, *, kept: bool = False) -> None:
        """It is over; what waited behind it has its turn, or its connection is idle, if kept."""
        self._stop(flight)
        link = flight.link
        del self.flights[flight.request], link.flights[flight.request]
        link.in_use -= flight.admitted
        following = flight.follower
        if following is None:
            link.idle += kept
            return
        following.waits = False
        if following.cancelled:
            self._at(self.now, self._cancelled, following)
            return
        if not kept:
            following.sent = self.now
        self._ask(following, warm=kept)

    # -- a request's life -----------------------------------------------------------------

    def on_start(self, start: Start) -> None:
        """A request goes out, at once or behind another one on its connection."""
        link = self.links[start.source]
        flight = self.flights[start.request] = Flight(start, link, sent=self.now)
        link.flights[start.request] = flight
        link.requests += 1
        if start.behind >= 0:
            self.flights[start.behind].follower = flight
            flight.waits = True
            return
        warm = link.idle > 0
        if warm:
            link.idle -= 1
        self._ask(flight, warm=warm)

    def _ask(self, flight: Flight, *, warm: bool) -> None:
        """The source has the request, on a connection that it knows or on a new one."""
        link, start = flight.link, flight.start
        model = link.model
        delay = model.rtt if warm else model.rtt + model.connect
        if model.jitter:
            delay += model.jitter * self.rng.random()
        # What was sent ahead has waited already.
        delay = max(0.0, flight.sent + delay - self.now)
        if link.mode is Mode.DOWN:
            self._doom(flight, model.rtt, Blame.REFUSED)
        elif start.fragment not in model.holds:
            self._doom(flight, delay, Blame.FRAGMENT)
        elif link.in_use >= model.max_connections:
            self._doom(flight, delay, Blame.BUSY)
        elif model.refuse and self.rng.random() < model.refuse:
            self._doom(flight, delay, Blame.SOURCE)
        else:
            flight.admitted = True
            link.in_use += 1
            self._at(self.now + delay, self._answer, flight, flight.stamp)
            if link.mode is Mode.FROZEN:
                patience = self.setting.timeout if warm else self.setting.connect_timeout
                self._at(self.now + patience, self._timed_out, flight, link.frozen_times)

    def on_trim(self, trim: Trim) -> None:
        """A request ends earlier."""
        if flight := self.flights.get(trim.request):
            flight.end = trim.end

    def on_restart(self, restart: Restart) -> None:
        """A request becomes the whole fragment, on the answer that is open."""
        flight = self.flights[restart.request]
        flight.piece, flight.end = 0, restart.end

    def on_cancel(self, cancel: Cancel) -> None:
        """A request is broken off."""
        if flight := self.flights.get(cancel.request):
            flight.cancelled = True
            flight.stamp += 1
            self._stop(flight)
            if flight.waits:
                return  # it ends when it would have had its turn
            self._at(self.now + _CANCEL_SECONDS, self._cancelled, flight)

    def on_decode(self, decode: Decode) -> None:
        """A row is to be computed, one at a time."""
        self._decoder_free = max(self.now, self._decoder_free) + self.setting.decode
        self._at(self._decoder_free, self._decoded, decode)

    def on_ending(self, ending: Finished | GiveUp) -> None:
        """All is over."""
        self.ending = ending

    def _answer(self, flight: Flight, stamp: int) -> None:
        if stamp != flight.stamp:
            return
        link, model, start = flight.link, flight.link.model, flight.start
        if link.mode is Mode.FROZEN:
            flight.deferred = True
            return
        if self.keeps_to_ranges(link) or (start.whole and start.start == 0):
            self.tell(Answered(flight.request))
        else:
            self.tell(RangeIgnored(flight.request))
        if flight.cancelled or self.ending is not None:
            return
        flight.began = self.now
        self._at(self.now + PROGRESS_SECONDS, self._look, flight, flight.stamp)
        if model.stall and self.rng.random() < model.stall:
            self._at(self.now + self.setting.timeout, self._timed_out, flight, _ANYHOW)
            return
        link.settle(self.now)
        self._order += 1
        link.join(flight, self.layout.length(start.fragment, flight.piece), self._order)
        self._touch(link)

    def _look(self, flight: Flight, stamp: int) -> None:
        if stamp != flight.stamp or flight.request not in self.flights:
            return
        # One look a request is under way at a time, so short pieces cost none.
        due = flight.began + PROGRESS_SECONDS
        if self.now < due - 1e-9:
            self._at(due, self._look, flight, stamp)
            return
        flight.link.settle(self.now)
        self._at(self.now + PROGRESS_SECONDS, self._look, flight, stamp)
        self.tell(Progress(flight.request, int(flight.received())))

    def _piece(self, flight: Flight, link: Link) -> None:
        fragment, piece = flight.start.fragment, flight.piece
        link.received += flight.piece_bytes
        flight.partial = 0.0
        if self.is_corrupt(link, fragment, piece) and not self.planner.is_done(fragment, piece):
            flight.piece_bytes, flight.target = 0, link.service
            self._end(flight)
            self.tell(PieceCorrupt(flight.request, piece))
            return
        flight.piece += 1
        if flight.piece >= flight.end:
            flight.piece_bytes, flight.target = 0, link.service
            self._end(flight, kept=True)
        else:
            flight.began = self.now
            self._order += 1
            link.go_on(flight, self.layout.length(fragment, flight.piece), self._order)
        self.tell(PieceDone(flight.request, piece))
        if not self.tail_began and self.planner.done_bytes >= self._tail:
            self.tail_began = self.now

    def keeps_to_ranges(self, link: Link) -> bool:
        """Whether a source answers with the range that it was asked for."""
        return link.model.ranges

    def is_corrupt(self, link: Link, fragment: int, piece: int) -> bool:
        """Whether a piece came with wrong bytes."""
        return link.model.corrupt > 0 and self.rng.random() < link.model.corrupt

    def _fail(self, flight: Flight, blame: int) -> None:
        if flight.request not in self.flights or flight.cancelled:
            return
        kind = list(Blame)[blame]
        wait = flight.link.model.retry_after if kind is Blame.BUSY else None
        self._end(flight)
        self.tell(Failed(flight.request, kind, wait))

    def _cancelled(self, flight: Flight, _stamp: int) -> None:
        self._end(flight)
        self.tell(Cancelled(flight.request))

    def is_decodable(self, decode: Decode) -> bool:
        """Whether what is computed for a row is what it must be."""
        return True

    def _decoded(self, decode: Decode, _stamp: int) -> None:
        self.decoded += 1
        right = self.is_decodable(decode)
        self.tell((Decoded if right else DecodeFailed)(decode.set, decode.row))
        if not self.tail_began and self.planner.done_bytes >= self._tail:
            self.tail_began = self.now
