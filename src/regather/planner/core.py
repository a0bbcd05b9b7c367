"""The planner itself: events in, actions out.

    handle(event, now):
        note what the event says of pieces, request and source
        give work to every source that has room (selection.py says which)
        set ``wake_at``, the time at which it wants a Tick if nothing else happens

It is not thread-safe: the engine calls it under one lock and does all I/O outside.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from regather.model import Layout
from regather.planner import rows
from regather.planner.events import (
    Action,
    Answered,
    Begin,
    Blame,
    Cancel,
    Cancelled,
    Decoded,
    DecodeFailed,
    Event,
    Failed,
    Finished,
    GiveUp,
    PieceCorrupt,
    PieceDone,
    Progress,
    RangeIgnored,
    Restart,
    Start,
    Tick,
    Trim,
)
from regather.planner.health import Health
from regather.planner.selection import Work, choose
from regather.planner.state import Request, State

_LOOK_AGAIN = 0.05
"""Seconds between looks at requests in flight while a source is idle."""


@dataclass(frozen=True, slots=True)
class Options:
    """Limits that the user may set."""

    connections: int = 4
    """Most requests in flight at one source."""
    max_requests: int = 32
    """Most requests in flight at all."""
    retries: int = 5
    """Failures in a row after which nothing waits for a source any longer."""


class Planner:
    """Plans one download over sources that may fail, lie, stall or crawl."""

    def __init__(
        self,
        layout: Layout,
        holdings: Sequence[frozenset[int] | None],
        options: Options | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """``holdings`` has, by source, the positions of the fragments it holds (None: ask it)."""
        self._options = options or Options()
        self._rng = rng or random.Random()
        limit = self._options.connections
        retries = self._options.retries
        self._state = State(layout, holdings, [Health(limit) for _ in holdings], retries)
        self._next_id = 0
        self._over = False
        self.done_bytes = 0
        """Bytes of the file that this run brought or computed."""
        self.wake_at: float | None = None
        """When a Tick is wanted, on the clock that events are stamped with; None: never."""

    # -- looking in -----------------------------------------------------------------------

    @property
    def sources(self) -> Sequence[Health]:
        """What is known of each source."""
        return self._state.sources

    @property
    def pieces_left(self) -> int:
        """How many pieces of the file are not done."""
        return self._state.left

    def is_done(self, fragment: int, piece: int) -> bool:
        """Whether a piece is done. May be read while another thread plans."""
        return bool(self._state.done[fragment][piece])

    def already_done(self, pieces: Iterable[tuple[int, int]]) -> None:
        """Before Begin: the (fragment, piece) pairs that a resumed download has already."""
        state = self._state
        for fragment, piece in pieces:
            if not state.done[fragment][piece]:
                state.done[fragment][piece] = state.settled[fragment][piece] = 1
                state.free[fragment].remove(piece, piece + 1)
                if state.layout.is_data(fragment):
                    state.left -= 1
                else:
                    rows.parity_arrived(state, state.layout.set_of[fragment], piece, None)

    # -- events ---------------------------------------------------------------------------

    def handle(self, event: Event, now: float) -> list[Action]:
        """Take in one event at time ``now`` (seconds, never going back); return what to do."""
        actions: list[Action] = []
        if isinstance(event, Begin):
            for number, known in enumerate(self._state.parity_rows):
                for row in list(known):
                    self._decode(number, row, actions)
        if isinstance(event, Begin | Tick):
            self._plan(now, actions)
            return actions
        if isinstance(event, Decoded | DecodeFailed):
            self._row_ended(event, actions)
            self._plan(now, actions)
            return actions
        request = self._state.requests.get(event.request)
        if request is None:  # it ended before the engine heard of it
            return actions
        match event:
            case PieceDone(piece=piece):
                self._piece_done(request, piece, now, actions)
            case Progress(received=received):
                if received > request.partial:
                    request.partial, request.moved = received, now
            case Answered():
                request.moved = request.moved_piece = now
                health = self._state.sources[request.source]
                before = health.allowance
                health.answered(now - request.began)
                if health.allowance > before:
                    self._plan(now, actions)
            case RangeIgnored():
                self._range_ignored(request, now, actions)
            case PieceCorrupt(piece=piece):
                self._corrupt(request, piece, now, actions)
                self._plan(now, actions)
            case Failed():
                self._failed(request, event, now)
                self._plan(now, actions)
            case Cancelled():
                self._end(request)
                self._plan(now, actions)
        return actions

    def _piece_done(self, request: Request, piece: int, now: float, actions: list[Action]) -> None:
        state = self._state
        asked = request.via
        health = state.sources[request.source]
        before = health.allowance, health.failures
        size = state.layout.length(asked, piece)
        # A short last piece says more of the latency than of the rate.
        telling = size >= state.layout.piece_size // 2
        fresh = not state.done[asked][piece]
        health.delivered(size if telling else 0, now - request.moved_piece, fresh=fresh)
        request.pos, request.partial = piece + 1, 0
        request.moved = request.moved_piece = now
        if fresh:
            self._arrived(request, piece, actions)
        ended = request.pos >= request.end
        if ended:
            self._end(request)
        if ended or state.left == 0 or before != (health.allowance, health.failures):
            self._plan(now, actions)

    def _arrived(self, request: Request, piece: int, actions: list[Action]) -> None:
        """A piece of the file, or of parity, is in place that was not before."""
        state = self._state
        asked, number = request.via, state.layout.set_of[request.via]
        if not state.layout.is_data(asked):
            state.done[asked][piece] = 1
            rows.parity_arrived(state, number, piece, request.fragment)
            self._decode(number, piece, actions)
            return
        settled = bool(state.settled[asked][piece])
        self._done(asked, piece, actions, request)
        if number >= 0 and state.parity_rows[number]:
            rows.data_arrived(state, number, piece, settled)
            self._decode(number, piece, actions)

    def _done(
        self, fragment: int, piece: int, actions: list[Action], by: Request | None = None
    ) -> None:
        """A piece of the file is done: nobody else needs to bring it."""
        state = self._state
        state.done[fragment][piece] = state.settled[fragment][piece] = 1
        state.left -= 1
        self.done_bytes += state.layout.length(fragment, piece)
        for other in list(state.working[fragment].values()):
            if other is not by and other.pos == piece and other.end == piece + 1:
                self._cancel(other, actions)

    def _decode(self, number: int, row: int, actions: list[Action]) -> None:
        order = rows.decode_if_ready(self._state, number, row)
        if order is not None:
            actions.append(order)

    def _row_ended(self, event: Decoded | DecodeFailed, actions: list[Action]) -> None:
        state = self._state
        number, row = event.set, event.row
        state.decoding.discard((number, row))
        make = rows.missing(state, state.layout.sets[number], row)
        rows.forget(state, number, row)
        for fragment in make:
            if isinstance(event, Decoded):
                self._done(fragment, row, actions)
            else:
                state.settled[fragment][row] = 0
                state.release(fragment, row, row + 1)

    def _range_ignored(self, request: Request, now: float, actions: list[Action]) -> None:
        state = self._state
        health = state.sources[request.source]
        health.ignores_ranges = True
        request.moved = now
        working = state.working[request.fragment].values()
        if any(
            r.whole and not r.cancelled and (r.source, r.via) == (request.source, request.via)
            for r in working
        ):
            self._cancel(request, actions)
            self._plan(now, actions)
            return
        request.whole = True
        request.pos, request.end = 0, state.layout.pieces_of(request.via)
        state.free[request.fragment].clear()
        state.free[request.via].clear()
        actions.append(Restart(request.id, request.end))

    def _corrupt(self, request: Request, piece: int, now: float, actions: list[Action]) -> None:
        state = self._state
        health = state.sources[request.source]
        self._end(request)
        if request.cancelled:
            return
        health.lied(now)
        state.suspects.setdefault((request.via, piece), set()).add(request.source)
        if health.distrusted:
            for other in list(state.requests.values()):
                if other.source == request.source:
                    self._cancel(other, actions)

    def _failed(self, request: Request, event: Failed, now: float) -> None:
        self._end(request)
        if request.cancelled:
            return
        health = self._state.sources[request.source]
        if event.blame is Blame.FRAGMENT:
            health.absent.add(request.via)
        else:
            health.failed(now, event.retry_after, self._rng)

    # -- requests -------------------------------------------------------------------------

    def _end(self, request: Request) -> None:
        """Forget a request that has ended and give back what it did not bring."""
        state = self._state
        del state.requests[request.id]
        del state.working[request.fragment][request.id]
        state.sources[request.source].active -= 1
        self._release(request)

    def _cancel(self, request: Request, actions: list[Action]) -> None:
        """Cancel a request; its slot stays taken until the engine says that it has ended."""
        if not request.cancelled:
            request.cancelled = True
            self._release(request)
            actions.append(Cancel(request.id))

    def _release(self, request: Request) -> None:
        self._state.release(request.fragment, request.pos, request.end)
        if request.via != request.fragment:
            self._state.release_parity(request.via, request.pos, request.end)

    def _start(self, source: int, work: Work, now: float, actions: list[Action]) -> None:
        state = self._state
        health = state.sources[source]
        if work.victim is not None and not work.hedge:
            victim, end = work.victim, work.victim.end
            victim.end = work.start
            if victim.via != victim.fragment:
                state.release_parity(victim.via, work.start, end)
            actions.append(Trim(victim.id, work.start))
        whole = health.ignores_ranges
        request = Request(
            self._next_id,
            source,
            work.fragment,
            work.asked,
            work.start,
            work.end,
            now,
            now,
            now,
            whole,
        )
        self._next_id += 1
        state.requests[request.id] = state.working[work.fragment][request.id] = request
        state.free[work.fragment].remove(work.start, work.end)
        state.free[work.asked].remove(work.start, work.end)
        health.active += 1
        actions.append(Start(request.id, source, work.asked, work.start, work.end, whole))

    # -- planning -------------------------------------------------------------------------

    def _plan(self, now: float, actions: list[Action]) -> None:
        """Give work to everyone who has room; find out whether all is over."""
        state = self._state
        self.wake_at = None
        if self._over:
            return
        if state.left == 0:
            self._over = True
            for request in list(state.requests.values()):
                self._cancel(request, actions)
            actions.append(Finished())
            return
        idle = self._fill(now, actions)
        if not state.decoding and self._only_failing_asked():
            # Before waiting for those who fail, all that the others can do.
            hope = bool(state.requests) or self._hope()
            if rows.unbind(state, state.answered_for if hope else state.hopeful):
                self._plan(now, actions)
                return
            if not hope:
                self._over = True
                actions.append(self._give_up())
                return
        times = [h.retry_at for h in state.sources if h.retry_at > now]
        if idle and state.requests:
            times.append(now + _LOOK_AGAIN)
        self.wake_at = min(times, default=None)

    def _fill(self, now: float, actions: list[Action]) -> bool:
        """One request a source in turn until no one has room or work; whether someone is idle."""
        state = self._state
        idle = False
        ready = [s for s, h in enumerate(state.sources) if h.has_slot(now)]
        while ready and len(state.requests) < self._options.max_requests:
            again: list[int] = []
            for source in ready:
                if len(state.requests) >= self._options.max_requests:
                    break
                work = choose(state, source, now)
                if work is None:
                    idle = True
                    continue
                self._start(source, work, now, actions)
                if state.sources[source].has_slot(now):
                    again.append(source)
            ready = again
        return idle

    def _only_failing_asked(self) -> bool:
        """Whether no request is in flight, save to sources that failed the last time."""
        state = self._state
        return all(state.sources[r.source].failures for r in state.requests.values())

    def _hope(self) -> bool:
        """Whether some missing piece may still come from a source that is worth waiting for."""
        state = self._state
        data = range(state.layout.data_count)
        return any(state.free[f] and state.hopeful(f) for f in data) or any(
            rows.recoverable(state, number) for number in range(len(state.layout.sets))
        )

    def _give_up(self) -> GiveUp:
        state = self._state
        missing = [f for f in range(state.layout.data_count) if state.done[f].find(0) >= 0]
        short = {state.layout.set_of[f] for f in missing} - {-1}
        missing += [
            f
            for number in sorted(short)
            for f in state.layout.sets[number].parity
            if state.done[f].find(0) >= 0 and not state.hopeful(f)
        ]
        corrupt = any(
            h.distrusted and ((own := state.holdings[s]) is None or any(f in own for f in missing))
            for s, h in enumerate(state.sources)
        )
        return GiveUp(tuple(missing), corrupt)
