"""Demand and sources that change while it runs, and what follows for both.

A source is known by what it holds, by whole fragments: groups of sources that hold the same stay
as cheap as they are with sources that were there from the beginning.
"""

from __future__ import annotations

from collections.abc import Iterable

from regather.planner.demand import Demands
from regather.planner.dispatch import Dispatch
from regather.planner.events import AddSource, Evicted, NoMoreSources, Release, RemoveSource, Want
from regather.planner.health import Health
from regather.planner.inflight import Request
from regather.planner.late_pieces import late_pieces
from regather.planner.requests import Requests
from regather.planner.state import State
from regather.planner.termination import SourceNeeds

_LATE_SECONDS = 0.25
"""Seconds between looks for pieces that parity would bring sooner."""
_LOOKS = 256
"""With more requests in flight, none is cut short for a reader: one of them soon ends anyhow."""


class Changes:
    """Takes note of what is wanted, and of sources that come and go."""

    def __init__(
        self,
        state: State,
        requests: Requests,
        dispatch: Dispatch,
        demands: Demands,
        needs: SourceNeeds,
        *,
        connections: int,
        live: bool,
    ) -> None:
        """``connections`` are the most at a source; ``live`` as in ``Planner``."""
        self._needs = needs
        self._state = state
        self._requests = requests
        self._dispatch = dispatch
        self._demands = demands
        self._connections = connections
        self._live = live
        self._late_at = float("-inf")
        """When to look for late pieces again."""
        self._judged = -1
        """Which judgement of the sources the rows that are wanted as a whole follow from."""

    def want(self, event: Want) -> list[int]:
        """A demand wants pieces; returns the fragments that a reader waits for."""
        fragments = self._demands.want(event)
        self._needs.look_again()
        if self._live:
            self._dispatch.try_again(fragments)
        self.follow(fragments)
        if not event.urgent:
            return []
        self._dispatch.prefer(fragments)
        return fragments

    def note(self, event: Release | Evicted | AddSource | NoMoreSources | RemoveSource) -> None:
        """Something else changed."""
        if isinstance(event, Release):
            self.follow(self._demands.release(event))
        elif isinstance(event, Evicted):
            self._demands.evicted(event)
        elif isinstance(event, AddSource):
            self._needs.look_again()
            source = self._add(event.holdings)
            self.follow(self._state.groups.held_by(source))
        elif isinstance(event, RemoveSource):
            self.follow(self._remove(event.source))
        else:
            self._needs.may_come = False
            self.follow(range(self._state.layout.data_count))

    def failed(self, source: int) -> None:
        """A source failed, or sent wrong bytes."""
        if not self._state.everything:
            self.follow(self._state.groups.held_by(source))

    def follow(self, fragments: Iterable[int]) -> None:
        """The demand for some fragments changed, or who can send them."""
        state = self._state
        if state.everything:
            return
        for number in {state.layout.set_of[fragment] for fragment in fragments} - {-1}:
            self._demands.widen(number)
        if self._live and not self._needs.may_come:
            self._demands.check(fragments)

    def follow_judgements(self) -> None:
        """Sources may have failed, fallen silent or recovered: other rows are wanted as a whole."""
        state = self._state
        demands = self._demands
        room = demands.look_again and len(state.row_wants) < demands.max_rows
        judged = state.groups.judgements + state.groups.moves
        if room or self._judged != judged:
            self._judged = judged
            demands.look_again = False
            for number in range(len(state.layout.sets)):
                demands.widen(number)

    def replace_late(self) -> None:
        """Want the rows of pieces that a reader would wait for much longer."""
        state = self._state
        if state.now < self._late_at or not (state.turns.urgent and state.layout.sets):
            return
        self._late_at = state.now + _LATE_SECONDS
        for number, fragment, row in list(late_pieces(state)):
            self._demands.may_want_row(number, row, fragment)

    def make_room(self, fragments: list[int]) -> bool:
        """Where a reader waits for a busy source, cut a request short that nobody waits for.

        Returns whether there was one: only pieces that are not begun change hands.
        """
        state = self._state
        if len(state.requests) > _LOOKS:
            return False
        holders: set[int] = set()
        for fragment in fragments:
            group = state.groups.of[fragment]
            if group.urgent is not None and group.urgent.waiting and state.free[fragment]:
                holders |= group.holders
        if not holders:
            return False
        best: Request | None = None
        soonest = 0.0
        for request in state.requests.values():
            if request.source not in holders or request.cancelled or request.whole:
                continue
            if request.urgent or request.behind is not None or request.end - request.pos < 2:
                continue
            rate = request.pace or state.sources[request.source].rate or state.mean_rate()
            seconds = (state.piece_size - request.partial) / rate
            if best is None or seconds < soonest:
                best, soonest = request, seconds
        if best is None:
            return False
        if best.follower is not None and best.follower.end - best.follower.pos > 1:
            self._requests.shorten(best.follower, best.follower.pos + 1)
        self._requests.shorten(best, best.pos + 1)
        return True

    # -- sources ----------------------------------------------------------------------------

    def _add(self, held: frozenset[int] | None) -> int:
        """One more source, which may be asked at once; return its number."""
        state = self._state
        source = len(state.sources)
        state.sources.append(Health(self._connections))
        state.holdings.append(held)
        state.weighted_rate.append(0.0)
        state.groups.add_source(source, held, state.counts)
        state.invalidate(source)
        self._dispatch.add(source)
        return source

    def _remove(self, source: int) -> list[int]:
        """A source is not asked any more. Returns the fragments that it held."""
        state = self._state
        health = state.sources[source]
        if health.removed:
            return []
        held = state.groups.held_by(source)
        health.removed = True
        health.retry_at = float("inf")
        health.failures = max(health.failures, state.retries + 1)
        if health.counted:
            state.rates -= health.counted
            state.rated -= 1
        health.rate = health.counted = 0.0
        state.invalidate(source)
        state.groups.remove_source(source)
        for request in list(state.requests.values()):
            if request.source == source:
                self._requests.cancel(request)
        return held
