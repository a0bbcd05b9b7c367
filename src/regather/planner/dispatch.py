"""Who is to be given work: sources with room, sources that found nothing, sources that wait.

A source stands in one of four places: *ready* to be given work, *idle* because there was none worth
while, *barred* because there can be none as things are, or nowhere because it is busy or must wait.
Only what an event concerns is looked at; a thousand sources that are busy cost nothing. Of those
that are idle or barred an event makes only a few look again, those that have waited longest, as
long as something is left to give; all do so at times.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict, deque
from collections.abc import Iterable

from regather.planner.inflight import Request
from regather.planner.overload import surplus_requests
from regather.planner.pace import find_stalls
from regather.planner.requests import Requests
from regather.planner.selection import choose
from regather.planner.state import State
from regather.planner.steal_and_hedge import own_time, take_over
from regather.planner.work import Work

_LOOK_AGAIN = 0.05
"""Seconds between looks at requests in flight while a source is idle."""
_STALL_LOOK_SECONDS = 0.5
"""Seconds between looks for requests that are stuck."""
_FEW = 256
"""With so few requests and idle sources, who becomes idle looks at once: it costs nothing."""

_TRIAL = 16
"""Of so many pieces that a reader waits for, one tries a source of which nothing is known."""
_LOOKS = 64
"""So many that are idle look again at an event; more of them only at times."""
_MANY = 12_000
"""So many requests and idle sources can be looked at each time."""


class Dispatch:
    """Gives work to sources that have room."""

    def __init__(self, state: State, requests: Requests, most: int) -> None:
        """``most`` requests at a time."""
        self._state = state
        self._requests = requests
        self._most = most
        self._ready: deque[int] = deque()
        self._is_ready = bytearray(len(state.sources))
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._newly_idle: list[int] = []
        """Those that became idle since the last look."""
        self._barred: OrderedDict[int, None] = OrderedDict()
        """Idle ones that can bring nothing as things are: they need not be looked at."""
        self._judged = 0
        self._preferred = 0
        """How many times a source was preferred."""
        self._again_idle = self._again_barred = 0
        """How many of them are still to look again."""
        self._all_at = float("-inf")
        """When all may look at once again."""
        self._timers: list[tuple[float, int]] = []
        self._look_at = self._help_at = self._stalls_at = float("-inf")

    def wants(self, source: int) -> None:
        """A source may have room for one more request."""
        if not self._is_ready[source]:
            self._is_ready[source] = 1
            self._idle.pop(source, None)
            self._barred.pop(source, None)
            self._ready.append(source)

    def add(self, source: int) -> None:
        """A source is new."""
        self._is_ready.append(0)
        self.wants(source)

    def try_again(self, fragments: list[int]) -> None:
        """Where nobody else can send what is wanted, try those once more who were given up."""
        state = self._state
        for fragment in fragments:
            if state.trusted(fragment):
                continue
            for source in state.groups.of[fragment].holders:
                health = state.sources[source]
                health.failures = min(health.failures, state.retries)
                health.corrupt_in_row = min(health.corrupt_in_row, state.retries)

    def prefer(self, fragments: list[int]) -> None:
        """Of the idle sources, the one that brings a piece soonest looks first.

        One of which nothing is known is tried at times only: a reader would wait for it.
        """
        if not 1 < len(self._idle) <= _LOOKS:
            return
        state = self._state
        holders = state.groups.of[fragments[0]].holders if fragments else ()
        able = [source for source in self._idle if source in holders]
        if not able:
            return
        known = [source for source in able if state.sources[source].rate]
        self._preferred += 1
        if known and (len(known) == len(able) or self._preferred % _TRIAL):
            best = min(known, key=lambda source: own_time(state, source))
        else:
            best = next(source for source in able if not state.sources[source].rate)
        self._idle.move_to_end(best, last=False)

    def wants_later(self, source: int) -> None:
        """A source may be asked again at its ``retry_at``."""
        heapq.heappush(self._timers, (self._state.sources[source].retry_at, source))

    def run(self) -> None:
        """Give work to everyone who has room."""
        state, now = self._state, self._state.now
        timers = self._timers
        while timers and timers[0][0] <= now:
            self.wants(heapq.heappop(timers)[1])
        # With nothing in flight no time makes a difference: all look now, or never.
        last = not state.requests
        if now >= self._stalls_at or (last and state.stalled):
            self.find_stalls()
            self._thin_out()
            self._stalls_at = now + _STALL_LOOK_SECONDS * max(1.0, len(state.requests) / _MANY)
        if state.freed or last or (state.unclaimed and now >= self._look_at):
            # What is worth while changes with time as well: a source turns out to be slow.
            if not state.freed:
                self._look_at = now + self._pause()
            self._again_idle = len(self._idle)
        if state.freed or last or self._judged != state.groups.judgements:
            self._again_barred = len(self._barred)
        self._judged = state.groups.judgements
        state.freed = False
        self._give()
        if self._idle and len(state.requests) - state.queued < self._most:
            self._help()

    def _give(self) -> None:
        """Give work to those who are ready, and to those who look again."""
        state, ready = self._state, self._ready
        looks = 0
        while len(state.requests) - state.queued < self._most:
            if ready:
                source = ready.popleft()
                self._is_ready[source] = 0
            else:
                source = self._looks_again(looks)
                looks += 1
                if source < 0:
                    break
            health = state.sources[source]
            if not health.has_slot(state.now):
                continue
            given_up = health.failures > state.retries and not self._others_bring()
            work = None if given_up else choose(state, source)
            if work is None:
                if not state.useful(source):
                    self._barred[source] = None
                    continue
                self._idle[source] = None
                self._newly_idle.append(source)
                continue
            self._requests.begin(source, work)
            if health.has_slot(state.now):
                self.wants(source)

    def _looks_again(self, looks: int) -> int:
        """The next one that is idle or barred to look again, as no. ``looks`` at this event.

        -1: there is none, or nothing left to give, or it has time until later. Those that were
        barred may have come to be idle also where nothing is left.
        """
        state = self._state
        if looks >= _LOOKS and state.now < self._all_at and state.requests:
            return -1
        if looks == _LOOKS:
            self._all_at = state.now + self._pause()
        if self._again_idle and self._idle and state.unclaimed:
            self._again_idle -= 1
            return self._idle.popitem(last=False)[0]
        if self._again_barred and self._barred:
            self._again_barred -= 1
            return self._barred.popitem(last=False)[0]
        return -1

    def find_stalls(self) -> None:
        """Find out who is stuck, and who is not any more."""
        for source in find_stalls(self._state):
            self.wants(source)

    def _thin_out(self) -> None:
        """Give up what only stands in the way of other requests to the same source."""
        for request in surplus_requests(self._state):
            self._state.sources[request.source].concurrency.give_one_up(self._state.now)
            if request.follower is not None:
                self._requests.cancel(request.follower)
            self._requests.cancel(request)

    def _others_bring(self) -> bool:
        """Whether a source that is not given up is asked; only then are the others tried still."""
        state = self._state
        return any(
            state.sources[r.source].failures <= state.retries for r in state.requests.values()
        )

    def _help(self) -> None:
        """Idle sources take over from others: all at times, who has just become idle at once."""
        state = self._state
        thieves: Iterable[int] = self._idle
        if state.now < self._help_at:
            if not self._newly_idle or len(state.requests) + len(self._idle) > _FEW:
                return
            thieves = [source for source in self._newly_idle if source in self._idle]
        else:
            self._look_at = self._help_at = state.now + self._pause()
        self._newly_idle = []

        begun: list[int] = []

        def start(source: int, work: Work) -> Request | None:
            if len(state.requests) - state.queued >= self._most:
                return None
            begun.append(source)
            return self._requests.begin(source, work)

        take_over(state, thieves, start)
        for source in begun:
            if not state.sources[source].has_slot(state.now):
                self._idle.pop(source, None)

    def _pause(self) -> float:
        """Seconds until the next look; with thousands to look at, it is longer."""
        return _LOOK_AGAIN * max(1.0, (len(self._state.requests) + len(self._idle)) / _MANY)

    def wake_at(self) -> float | None:
        """When there may be something to give, if nothing happens before."""
        at = self._timers[0][0] if self._timers else math.inf
        soon = self._state.now + _LOOK_AGAIN
        if self._state.requests:
            at = min(at, max(soon, self._stalls_at))
            if self._idle or self._again_barred:
                at = min(at, self._look_at if self._look_at > self._state.now else soon)
        return None if at == math.inf else at

    @property
    def waits(self) -> bool:
        """Whether a source may be asked again later."""
        return bool(self._timers)
