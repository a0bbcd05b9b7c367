"""What follows when a request fails, brings wrong bytes, or becomes a whole fragment."""

from __future__ import annotations

import random

from regather.planner.changes import Changes
from regather.planner.dispatch import Dispatch
from regather.planner.events import Blame, Failed, PieceCorrupt, RangeIgnored, Restart
from regather.planner.inflight import Request
from regather.planner.requests import Requests
from regather.planner.state import State

_MOST_FRUITLESS = 1000
"""So many sources may fail one after the other, without a piece from anybody, before those that
never brought one are given up, the ones that were not asked yet among them."""


class SourceFailures:
    """Takes note of failures of sources."""

    def __init__(
        self,
        state: State,
        requests: Requests,
        dispatch: Dispatch,
        changes: Changes,
        rng: random.Random,
    ) -> None:
        self._state = state
        self._requests = requests
        self._dispatch = dispatch
        self._changes = changes
        self._rng = rng

    def note(self, event: RangeIgnored | PieceCorrupt | Failed) -> bool:
        """Take note of one; returns whether its source may have room now."""
        request = self._state.requests.get(event.request)
        if request is None:
            return False
        if isinstance(event, RangeIgnored):
            return self._range_ignored(request)
        source = request.source
        self._requests.end(request)
        if not request.cancelled:
            if isinstance(event, PieceCorrupt):
                self._corrupt(request, event.piece)
            else:
                self._failed(request, event)
            self._note_fruitless(source)
        self._changes.failed(source)
        self._dispatch.wants(source)
        return True

    def _range_ignored(self, request: Request) -> bool:
        """The whole fragment comes. Returns whether the answer is not wanted."""
        state = self._state
        state.sources[request.source].ignores_ranges = True
        if request.cancelled:
            return False  # its answer was on the way: what it was to bring was given back
        request.moved = state.now
        working = state.working[request.fragment].values()
        if any(
            r.whole and not r.cancelled and (r.source, r.via) == (request.source, request.via)
            for r in working
        ):
            self._requests.cancel(request)
            return True
        self._requests.become_whole(request)
        self._cancel_follower(request)
        state.actions.append(Restart(request.id, request.end))
        return False

    def _corrupt(self, request: Request, piece: int) -> None:
        state, source = self._state, request.source
        health = state.sources[source]
        health.corrupt_piece(state.now)
        self._cancel_follower(request)
        state.invalidate(source)
        if health.retry_at > state.now:
            self._dispatch.wants_later(source)
        if not state.done[request.via][piece]:
            state.suspects.setdefault((request.via, piece), set()).add(source)
        if health.distrusted:
            for other in list(state.requests.values()):
                if other.source == source:
                    self._requests.cancel(other)

    def _failed(self, request: Request, event: Failed) -> None:
        state, source = self._state, request.source
        health = state.sources[source]
        if event.blame is Blame.FRAGMENT:
            health.absent.add(request.via)
            state.groups.drop_holder(request.via, source, state.counts(request.via))
            return
        if event.blame is Blame.BUSY and health.active and not health.failures:
            health.busy(state.now, event.retry_after)
        else:
            if event.kept:  # it gets on, if in small steps
                health.failures = 0
            refused = event.blame is Blame.REFUSED
            health.failed(state.now, request.began, event.retry_after, self._rng, refused=refused)
        self._cancel_follower(request)
        state.invalidate(source)
        self._dispatch.wants_later(source)

    def _cancel_follower(self, request: Request) -> None:
        if request.follower is not None:
            self._requests.cancel(request.follower)

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
