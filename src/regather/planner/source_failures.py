"""What follows when a request fails, brings wrong bytes, or becomes a whole fragment."""

from __future__ import annotations

import random

from regather.planner.dispatch import Dispatch
from regather.planner.events import Action, Blame, Failed, PieceCorrupt, RangeIgnored, Restart
from regather.planner.requests import Requests
from regather.planner.state import State

_MOST_FRUITLESS = 1000
"""So many sources may fail one after the other, without a piece from anybody, before those that
never brought one are given up, the ones that were not asked yet among them."""


class SourceFailures:
    """Takes note of failures of sources."""

    def __init__(
        self, state: State, requests: Requests, dispatch: Dispatch, rng: random.Random
    ) -> None:
        self._state = state
        self._requests = requests
        self._dispatch = dispatch
        self._rng = rng

    def range_ignored(self, event: RangeIgnored, now: float, actions: list[Action]) -> bool:
        """The whole fragment comes. Returns whether the answer is not wanted."""
        state = self._state
        request = state.requests.get(event.request)
        if request is None:
            return False
        health = state.sources[request.source]
        health.ignores_ranges = True
        if request.cancelled:
            return False  # its answer was on the way: what it was to bring was given back
        request.moved = now
        working = state.working[request.fragment].values()
        if any(
            r.whole and not r.cancelled and (r.source, r.via) == (request.source, request.via)
            for r in working
        ):
            self._requests.cancel(request, actions)
            return True
        self._requests.become_whole(request)
        if request.follower is not None:
            self._requests.cancel(request.follower, actions)
        actions.append(Restart(request.id, request.end))
        return False

    def corrupt(self, event: PieceCorrupt, now: float, actions: list[Action]) -> int:
        """A piece was wrong. Returns the source, or -1 where the request is not known."""
        state = self._state
        request = state.requests.get(event.request)
        if request is None:
            return -1
        source = request.source
        health = state.sources[source]
        self._requests.end(request, now)
        if not request.cancelled:
            health.corrupt_piece(now)
            if request.follower is not None:
                self._requests.cancel(request.follower, actions)
            state.invalidate(source)
            if health.retry_at > now:
                self._dispatch.wants_later(source)
            if not state.done[request.via][event.piece]:
                state.suspects.setdefault((request.via, event.piece), set()).add(source)
            if health.distrusted:
                for other in list(state.requests.values()):
                    if other.source == source:
                        self._requests.cancel(other, actions)
            self._note_fruitless(source)
        return source

    def failed(self, event: Failed, now: float, actions: list[Action]) -> int:
        """A request failed. Returns the source, or -1 where the request is not known."""
        state = self._state
        request = state.requests.get(event.request)
        if request is None:
            return -1
        source = request.source
        self._requests.end(request, now)
        if not request.cancelled:
            if event.blame is Blame.FRAGMENT:
                self._absent(source, request.via)
            else:
                health = state.sources[source]
                if event.blame is Blame.BUSY and health.active and not health.failures:
                    health.busy(now, event.retry_after)
                else:
                    if event.kept:  # it gets on, if in small steps
                        health.failures = 0
                    health.failed(now, request.began, event.retry_after, self._rng)
                if request.follower is not None:
                    self._requests.cancel(request.follower, actions)
                state.invalidate(source)
                self._dispatch.wants_later(source)
            self._note_fruitless(source)
        return source

    def _absent(self, source: int, fragment: int) -> None:
        """A source turned out not to have a fragment."""
        state = self._state
        state.sources[source].absent.add(fragment)
        state.groups.drop_holder(fragment, source, state.counts(fragment))

    def _note_fruitless(self, source: int) -> None:
        """A request to a source failed: how long this goes on has a bound, whoever is named."""
        state = self._state
        health = state.sources[source]
        if health.pieces or health.fruitless:
            return
        health.fruitless = True
        state.fruitless += 1
        if state.fruitless > _MOST_FRUITLESS:
            for number, other in enumerate(state.sources):
                if not other.pieces and other.failures <= state.retries:
                    other.failures = state.retries + 1
                    state.invalidate(number)
