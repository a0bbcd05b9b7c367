"""The planner itself: events in, actions out.

    handle(event, now):
        note what the event says of pieces, request and source
        give work to every source that has room (selection.py says which)
        set ``wake_at``, the time at which it wants a Tick if nothing else happens

It is not thread-safe: the engine calls it under one lock and does all I/O outside.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

from regather.model import Layout
from regather.planner import rows
from regather.planner.arrivals import PieceArrivals
from regather.planner.changes import Changes
from regather.planner.demand import Demands
from regather.planner.dispatch import Dispatch
from regather.planner.events import (
    Action,
    AddSource,
    Answered,
    Begin,
    Cancelled,
    Decoded,
    DecodeFailed,
    Event,
    Evicted,
    Failed,
    Finished,
    NoMoreSources,
    PieceCorrupt,
    PieceDone,
    Progress,
    RangeIgnored,
    Release,
    RemoveSource,
    Tick,
    Want,
)
from regather.planner.health import Health
from regather.planner.inflight import Request
from regather.planner.options import Options
from regather.planner.requests import Requests
from regather.planner.selection import look_ahead
from regather.planner.source_failures import SourceFailures
from regather.planner.state import State
from regather.planner.termination import SourceNeeds, give_up, is_hope, nothing_comes


class Planner:
    """Plans one download over sources that may fail, lie, stall or crawl."""

    def __init__(
        self,
        layout: Layout,
        holdings: Sequence[frozenset[int] | None],
        options: Options | None = None,
        rng: random.Random | None = None,
        *,
        wanted: Sequence[tuple[int, int]] | None = None,
        live: bool = False,
        more_sources: bool = False,
    ) -> None:
        """``holdings`` has, by source, the positions of the fragments it holds (None: ask it).

        ``wanted`` are runs of running numbers: the pieces that are wanted; None: the whole file.
        With ``live``, demands come and go: only what events want is, and there is no end.
        With ``more_sources``, NeedSources asks for further ones before anything is given up.
        """
        self._options = options or Options()
        self._rng = rng or random.Random()
        self._live = live
        limit = self._options.connections
        healths = [Health(limit) for _ in holdings]
        everything = wanted is None and not live
        self._state = State(layout, list(holdings), healths, self._options.retries, everything)
        self._requests = Requests(self._state)
        self._demands = Demands(self._state, self._requests, self._options.max_rows)
        self._arrivals = PieceArrivals(self._state, self._requests, self._demands)
        self._dispatch = Dispatch(
            self._state, self._options.max_requests, self._requests.begin, self._requests.cancel
        )
        self._failures = SourceFailures(self._state, self._requests, self._dispatch, self._rng)
        self._needs = SourceNeeds(self._state, may_come=more_sources)
        self._changes = Changes(
            self._state,
            self._requests,
            self._dispatch,
            self._demands,
            self._needs,
            connections=limit,
            live=live,
        )
        for start, end in wanted or ():
            self._demands.want(Want(0, start, end), [])
        # Each returns the request, if any, that goes on and behind which the next may be queued.
        self._handlers: dict[type, Callable[..., Request | None]] = {
            Begin: self._begin,
            Tick: self._tick,
            Answered: self._answered,
            Progress: self._progress,
            PieceDone: self._piece_done,
            PieceCorrupt: self._corrupt,
            RangeIgnored: self._range_ignored,
            Failed: self._failed,
            Cancelled: self._cancelled,
            **dict.fromkeys((Decoded, DecodeFailed), self._row_ended),
            Want: self._want,
            **dict.fromkeys(
                (Release, Evicted, AddSource, NoMoreSources, RemoveSource), self._changed
            ),
        }
        self._over = False
        self.wake_at: float | None = None
        """When a Tick is wanted, on the clock that events are stamped with; None: never."""

    # -- looking in -----------------------------------------------------------------------

    @property
    def sources(self) -> Sequence[Health]:
        """What is known of each source."""
        return self._state.sources

    @property
    def done_bytes(self) -> int:
        """Bytes that this run brought or computed of what is wanted for itself."""
        return self._arrivals.done_bytes

    @property
    def pieces_left(self) -> int:
        """How many pieces of the file are not done."""
        return self._state.left

    def is_done(self, fragment: int, piece: int) -> bool:
        """Whether a piece is done. May be read while another thread plans."""
        return bool(self._state.done[fragment][piece])

    def is_wanted(self, fragment: int, piece: int) -> bool:
        """Whether anybody wants a piece of the file."""
        return self._state.is_wanted(fragment, piece)

    def is_needed(self, fragment: int, piece: int) -> bool:
        """Whether a piece of the file must stay: it is wanted, or its row is being computed."""
        state = self._state
        row = state.layout.set_of[fragment], piece
        return state.is_wanted(fragment, piece) or row in state.decoding

    def likely_computed(self, fragment: int, piece: int) -> bool:
        """Whether a data fragment's piece is likely to serve to compute others of its row."""
        return rows.likely_computed(self._state, fragment, piece)

    def already_done(self, pieces: Iterable[tuple[int, int]]) -> None:
        """Before Begin: the (fragment, piece) pairs that a resumed download has already."""
        for fragment, piece in pieces:
            rows.found(self._state, fragment, piece)

    # -- events ---------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take in one event at time ``now`` (seconds, never going back); return what to do."""
        actions: list[Action] = []
        going = self._handlers[type(event)](event, now, actions)
        if going is not None and going.follower is None and not self._over:
            # Queue the next request on its connection, if the wait for an answer would be felt.
            work = look_ahead(self._state, going, now)
            if work is not None:
                self._requests.begin(going.source, work, now, actions, going)
        return actions

    def _begin(self, event: Begin, now: float, actions: list[Action]) -> None:
        for number, known in enumerate(self._state.parity_rows):
            for row in list(known):
                self._arrivals.decode(number, row, actions)
        for source in range(len(self._state.sources)):
            self._dispatch.wants(source)
        self._plan(now, actions)

    def _tick(self, event: Tick, now: float, actions: list[Action]) -> None:
        self._plan(now, actions)

    def _answered(self, event: Answered, now: float, actions: list[Action]) -> Request | None:
        request = self._state.requests.get(event.request)
        if request is None:  # it ended before the engine heard of it
            return None
        request.moved = request.moved_piece = request.answered = now
        health = self._state.sources[request.source]
        if health.stalled:
            self._dispatch.find_stalls(now)
        if not request.ahead:
            before = health.allowance
            health.answered(now, now - request.began)
            if health.allowance > before:
                self._room(request.source, now, actions)
        return request

    def _progress(self, event: Progress, now: float, actions: list[Action]) -> Request | None:
        state = self._state
        request = state.requests.get(event.request)
        received = event.received
        if request is None or received <= request.partial:
            return None
        source = request.source
        health = state.sources[source]
        health.received(received - request.partial, now)
        if health.rate != health.counted:
            state.count_rate(source)
        request.partial, request.moved = received, now
        if health.stalled:
            self._dispatch.find_stalls(now)
        return request

    def _piece_done(self, event: PieceDone, now: float, actions: list[Action]) -> Request | None:
        # What every piece goes through: few steps, and few calls.
        state = self._state
        request = state.requests.get(event.request)
        if request is None:
            return None
        piece, asked, source = event.piece, request.via, request.source
        health = state.sources[source]
        failing = health.failures
        done = state.done[asked]
        fresh = event.placed and not done[piece]
        end, size = piece + 1, state.piece_size
        if end == len(done):
            size = state.layout.length(asked, piece)
        seconds = now - request.moved_piece
        # A short last piece says more of the latency than of the rate.
        if health.guessing and size * 2 >= state.piece_size:
            health.guess(size / max(seconds, 1e-6))
        rest = state.unclaimed * state.piece_size / (state.rates or 1.0)
        changed = health.delivered(size - request.partial, seconds, now, fresh, rest)
        if failing and fresh:  # it fails no more
            changed = True
            state.invalidate(source)
        if health.rate != health.counted:
            state.count_rate(source)
        request.pos, request.partial = end, 0
        request.moved = request.moved_piece = now
        if not request.cancelled:
            state.groups.of[request.fragment].flying -= 1
        if fresh:
            state.fruitless = 0
            if request.cancelled:  # it was given back already
                state.claim(asked, piece, end)
            self._arrivals.arrived(request, piece, size, actions)
        elif asked != request.fragment or not event.placed:
            # It passes over parity that is in place, which stands in for another piece, or over
            # what nobody wanted a moment ago.
            state.requeue(request.fragment, piece, end)
        if end < request.end:
            if changed or not state.left:
                self._room(source, now, actions)
            return request
        self._requests.end(request, now)
        following = request.follower
        if following is None or changed or not state.left or health.has_slot(now):
            self._room(source, now, actions)
        return following

    def _room(self, source: int, now: float, actions: list[Action]) -> None:
        """A source may have room for one more request."""
        self._dispatch.wants(source)
        self._plan(now, actions)

    def _row_ended(self, event: Decoded | DecodeFailed, now: float, actions: list[Action]) -> None:
        self._arrivals.row_ended(event, actions)
        self._plan(now, actions)

    def _range_ignored(self, event: RangeIgnored, now: float, actions: list[Action]) -> None:
        if self._failures.range_ignored(event, now, actions):
            self._plan(now, actions)

    def _corrupt(self, event: PieceCorrupt, now: float, actions: list[Action]) -> None:
        self._after_failure(self._failures.corrupt(event, now, actions), now, actions)

    def _failed(self, event: Failed, now: float, actions: list[Action]) -> None:
        self._after_failure(self._failures.failed(event, now, actions), now, actions)

    def _after_failure(self, source: int, now: float, actions: list[Action]) -> None:
        if source < 0:
            return
        self._changes.failed(source, actions)
        self._room(source, now, actions)

    def _cancelled(self, event: Cancelled, now: float, actions: list[Action]) -> None:
        request = self._state.requests.get(event.request)
        if request is not None:
            self._requests.end(request, now)
            # Its source may have gone: what it did not bring may be had by parity alone.
            self._changes.follow((request.fragment,), actions)
            self._room(request.source, now, actions)

    def _want(self, event: Want, now: float, actions: list[Action]) -> None:
        fragments = self._changes.want(event, actions)
        self._plan(now, actions)
        if fragments and not self._over and self._changes.make_room(fragments, actions):
            self._plan(now, actions)

    def _changed(
        self,
        event: Release | Evicted | AddSource | NoMoreSources | RemoveSource,
        now: float,
        actions: list[Action],
    ) -> None:
        self._changes.note(event, actions)
        self._plan(now, actions)

    # -- planning -------------------------------------------------------------------------

    def _plan(self, now: float, actions: list[Action]) -> None:
        """Give work to everyone who has room; find out whether all is over."""
        state = self._state
        self.wake_at = None
        if self._over:
            return
        if state.left == 0 and not self._live:
            self._over = True
            for request in list(state.requests.values()):
                self._requests.cancel(request, actions)
            actions.append(Finished())
            return
        if not state.everything:
            self._changes.follow_judgements(actions)
            self._changes.replace_late(now, actions)
        self._dispatch.run(now, actions)
        if self._needs.may_come:
            self._needs.look(actions)
        if state.left and not state.decoding and nothing_comes(state, now):
            # Before waiting for those who fail, all that the others can do.
            hope = bool(state.requests) or (self._dispatch.waits and is_hope(state))
            if rows.unbind(state, state.answered_for if hope else state.hopeful):
                self._changes.follow(range(state.layout.data_count), actions)
                self._plan(now, actions)
                return
            if not hope and self._needs.may_come:
                self._needs.ask_for_missing(actions)
            elif not hope and self._live:
                self._demands.check(range(state.layout.data_count), actions)
            elif not hope:
                self._over = True
                actions.append(give_up(state))
                return
        self.wake_at = self._dispatch.wake_at(now)
