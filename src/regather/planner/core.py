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
from regather.planner.requests import Requests
from regather.planner.selection import look_ahead
from regather.planner.source_failures import SourceFailures
from regather.planner.state import State
from regather.planner.termination import SourceNeeds, give_up, is_hope, nothing_comes


class Options:
    """Limits that the user may set."""

    def __init__(
        self,
        connections: int = 8,
        max_requests: int = 32,
        retries: int = 5,
        max_rows: int = 1 << 30,
    ) -> None:
        self.connections = connections
        """Most requests in flight at one source."""
        self.max_requests = max_requests
        """Most requests in flight at all."""
        self.retries = retries
        """Failures in a row after which nothing waits for a source any longer."""
        self.max_rows = max_rows
        """Most rows that are wanted for the sake of a piece in them, where the store is small."""


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
        self._live = live
        limit = self._options.connections
        healths = [Health(limit) for _ in holdings]
        everything = wanted is None and not live
        self._state = State(layout, list(holdings), healths, self._options.retries, everything)
        self._requests = Requests(self._state)
        self.hedges: list[int] = self._requests.hedges
        self.demands = Demands(self._state, self._requests, self._options.max_rows)
        self._arrivals = PieceArrivals(self._state, self._requests, self.demands)
        self._dispatch = Dispatch(self._state, self._requests, self._options.max_requests)
        self._needs = SourceNeeds(self._state, may_come=more_sources)
        self._changes = Changes(
            self._state,
            self._requests,
            self._dispatch,
            self.demands,
            self._needs,
            connections=limit,
            live=live,
        )
        self._failures = SourceFailures(
            self._state, self._requests, self._dispatch, self._changes, rng or random.Random()
        )
        for start, end in wanted or ():
            self.demands.want(Want(0, start, end))
        # Each returns the request, if any, that goes on and behind which the next may be queued.
        self._handlers: dict[type, Callable[..., Request | None]] = {
            Begin: self._begin,
            Tick: self._tick,
            Answered: self._answered,
            Progress: self._progress,
            PieceDone: self._piece_done,
            **dict.fromkeys((RangeIgnored, PieceCorrupt, Failed), self._failure),
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
        state = self._state
        state.now = now
        actions = state.actions = []
        going = self._handlers[type(event)](event)
        if going is not None and going.follower is None and not self._over:
            # Queue the next request on its connection, if the wait for an answer would be felt.
            work = look_ahead(state, going)
            if work is not None:
                self._requests.begin(going.source, work, going)
        return actions

    def _begin(self, event: Begin) -> None:
        for number, known in enumerate(self._state.parity_rows):
            for row in list(known):
                self._arrivals.decode(number, row)
        for source in range(len(self._state.sources)):
            self._dispatch.wants(source)
        self._plan()

    def _tick(self, event: Tick) -> None:
        self._plan()

    def _answered(self, event: Answered) -> Request | None:
        request = self._state.requests.get(event.request)
        if request is None:  # it ended before the engine heard of it
            return None
        request.moved = request.moved_piece = request.answered = self._state.now
        health = self._state.sources[request.source]
        if health.stalled:
            self._dispatch.find_stalls()
        if not request.ahead:
            before = health.concurrency.connections
            health.answered(self._state.now, self._state.now - request.began)
            if health.concurrency.connections > before:
                self._room(request.source)
        return request

    def _progress(self, event: Progress) -> Request | None:
        state = self._state
        request = state.requests.get(event.request)
        received = event.received
        if request is None or received <= request.partial:
            return None
        source = request.source
        health = state.sources[source]
        health.received(received - request.partial, state.now)
        if health.rate != health.counted:
            state.count_rate(source)
        request.partial, request.moved = received, state.now
        if health.stalled:
            self._dispatch.find_stalls()
        return request

    def _piece_done(self, event: PieceDone) -> Request | None:
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
        seconds = state.now - request.moved_piece
        # A short last piece says more of the latency than of the rate.
        if health.guessing and size * 2 >= state.piece_size:
            health.guess(size / max(seconds, 1e-6))
        rest = state.unclaimed * state.piece_size / (state.rates or 1.0)
        changed = health.delivered(size - request.partial, seconds, state.now, fresh, rest)
        if failing and fresh:  # it fails no more
            changed = True
            state.invalidate(source)
        if health.rate != health.counted:
            state.count_rate(source)
        request.pos, request.partial = end, 0
        request.moved = request.moved_piece = state.now
        if not request.cancelled:
            state.groups.of[request.fragment].flying -= 1
        if fresh:
            state.fruitless = 0
            if request.cancelled:  # it was given back already
                state.claim(asked, piece, end)
            self._arrivals.arrived(request, piece, size)
        elif asked != request.fragment or not event.placed:
            # It passes over parity that is in place, which stands in for another piece, or over
            # what nobody wanted a moment ago.
            state.requeue(request.fragment, piece, end)
        if end < request.end:
            if changed or not state.left:
                self._room(source)
            return request
        self._requests.end(request)
        following = request.follower
        if following is None or changed or not state.left or health.has_slot(state.now):
            self._room(source)
        return following

    def _room(self, source: int) -> None:
        """A source may have room for one more request."""
        self._dispatch.wants(source)
        self._plan()

    def _row_ended(self, event: Decoded | DecodeFailed) -> None:
        self._arrivals.row_ended(event)
        self._plan()

    def _failure(self, event: RangeIgnored | PieceCorrupt | Failed) -> None:
        if self._failures.note(event):
            self._plan()

    def _cancelled(self, event: Cancelled) -> None:
        request = self._state.requests.get(event.request)
        if request is not None:
            self._requests.end(request)
            # Its source may have gone: what it did not bring may be had by parity alone.
            self._changes.follow((request.fragment,))
            self._room(request.source)

    def _want(self, event: Want) -> None:
        fragments = self._changes.want(event)
        self._plan()
        if fragments and not self._over and self._changes.make_room(fragments):
            self._plan()

    def _changed(self, event: Release | Evicted | AddSource | NoMoreSources | RemoveSource) -> None:
        self._changes.note(event)
        self._plan()

    # -- planning -------------------------------------------------------------------------

    def _plan(self) -> None:
        """Give work to everyone who has room; find out whether all is over."""
        state = self._state
        self.wake_at = None
        if self._over:
            return
        if state.left == 0 and not self._live:
            self._over = True
            for request in list(state.requests.values()):
                self._requests.cancel(request)
            state.actions.append(Finished())
            return
        if not state.everything:
            self._changes.follow_judgements()
            self._changes.replace_late()
        self._dispatch.run()
        if self._needs.may_come:
            self._needs.look()
        if state.left and not state.decoding and nothing_comes(state):
            # Before waiting for those who fail, all that the others can do.
            hope = bool(state.requests) or (self._dispatch.waits and is_hope(state))
            if rows.unbind(state, state.answered_for if hope else state.hopeful):
                self._changes.follow(range(state.layout.data_count))
                self._plan()
                return
            if not hope and self._needs.may_come:
                self._needs.ask_for_missing()
            elif not hope and self._live:
                self.demands.check(range(state.layout.data_count))
            elif not hope:
                self._over = True
                state.actions.append(give_up(state))
                return
        self.wake_at = self._dispatch.wake_at()
