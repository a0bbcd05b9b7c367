"""Sources that come and go while it runs.

A source is known by what it holds, by whole fragments: groups of sources that hold the same stay
as cheap as they are with sources that were there from the beginning.
"""

from __future__ import annotations

from regather.planner.dispatch import Dispatch
from regather.planner.events import Action
from regather.planner.health import Health
from regather.planner.requests import Requests
from regather.planner.state import State


class Membership:
    """Adds and removes sources."""

    def __init__(
        self, state: State, requests: Requests, dispatch: Dispatch, connections: int
    ) -> None:
        """``connections`` are the most at a source."""
        self._state = state
        self._requests = requests
        self._dispatch = dispatch
        self._connections = connections

    def add(self, held: frozenset[int] | None) -> int:
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

    def remove(self, source: int, actions: list[Action]) -> list[int]:
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
                self._requests.cancel(request, actions)
        return held
