"""Requests from their begin to their end: every count that they touch is kept here."""

from __future__ import annotations

from regather.planner.events import Cancel, Start, Trim
from regather.planner.inflight import Request
from regather.planner.state import State
from regather.planner.work import Work


class Requests:
    """Begins, cancels and ends the requests of one download."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._next_id = 0
        self.hedges = [0, 0]
        """Those that have ended: how many brought a piece first, and how many did not."""

    def begin(self, source: int, work: Work, behind: Request | None = None) -> Request:
        """Begin what was chosen; with ``behind`` on the connection of that request, after it."""
        state, now = self._state, self._state.now
        health = state.sources[source]
        fragment, start, end, via = work.fragment, work.start, work.end, work.via
        if work.victim is not None and not work.hedge:
            self._cut(work.victim, start)
        whole = health.ignores_ranges
        asked = fragment if via < 0 else via
        number = self._next_id
        self._next_id = number + 1
        request = Request(number, source, fragment, asked, start, end, now, whole=whole)
        request.urgent, request.hedge = work.urgent, work.hedge
        state.requests[number] = state.working[fragment][number] = request
        if whole:
            _note_whole(state, request)
        elif work.hedge:
            _note_rivals(state, request, work.victim)
        elif overlapping := state.overlapping[fragment]:
            overlapping[number] = request
        state.claim(fragment, start, end)
        state.groups.of[fragment].flying += end - start
        if via >= 0:
            state.claim(via, start, end)
            state.groups.of[via].standing_in += 1
        after = -1
        if behind is None:
            health.active += 1
            state.weigh(source)
        else:
            behind.follower, request.behind = request, behind
            request.ahead = True
            state.queued += 1
            after = behind.id
        state.actions.append(Start(number, source, asked, start, end, whole, after))
        return request

    def _cut(self, victim: Request, start: int) -> None:
        """Another request takes over the end of one, from the piece ``start`` on."""
        state, end = self._state, victim.end
        victim.end = start
        state.groups.of[victim.fragment].flying -= end - start
        if victim.via != victim.fragment:
            state.requeue_parity(victim.via, start, end)
        state.actions.append(Trim(victim.id, start))

    def end(self, request: Request) -> None:
        """Forget a request that has ended and give back what it did not bring.

        The one that waited behind it takes its place.
        """
        state = self._state
        fragment, number = request.fragment, request.id
        del state.requests[number]
        del state.working[fragment][number]
        if state.hedged or state.overlapping[fragment]:
            _forget_rival(state, request)
        if request.hedge:
            self.hedges[0 if request.pos > request.first else 1] += 1
        if request.via != fragment:
            state.groups.of[request.via].standing_in -= 1
        follower = request.follower
        if request.behind is not None:  # it ended before its turn
            request.behind.follower = None
            state.queued -= 1
        elif follower is not None:
            follower.behind = None
            follower.began = follower.moved = follower.moved_piece = state.now
            answered = request.answered
            if answered >= 0 and state.now > answered:
                brought = (request.pos - request.first) * state.piece_size + request.partial
                follower.pace = brought / (state.now - answered)
            state.queued -= 1
        else:
            state.sources[request.source].active -= 1
            state.weigh(request.source)
        if request.pos < request.end and not request.cancelled:
            self._release(request)

    def cancel(self, request: Request) -> None:
        """Cancel a request; its slot stays taken until the engine says that it has ended."""
        if not request.cancelled:
            request.cancelled = True
            self._release(request)
            self._state.actions.append(Cancel(request.id))

    def trim(self, request: Request) -> None:
        """Its last piece is done otherwise: it ends with the last one that is still wanted."""
        state = self._state
        last = request.end - 1
        done, came = state.done[request.fragment], state.done[request.via]
        while last >= request.pos and (came[last] or (last < len(done) and done[last])):
            last -= 1
        if last < request.pos:
            self.cancel(request)
            return
        state.groups.of[request.fragment].flying -= request.end - last - 1
        end, request.end = request.end, last + 1
        if request.via != request.fragment:
            state.requeue(request.fragment, last + 1, end)
            state.requeue_parity(request.via, last + 1, end)
        state.actions.append(Trim(request.id, request.end))

    def shorten(self, request: Request, end: int) -> None:
        """A request ends before the piece ``end``; who wants the rest must ask for it anew."""
        state, tail = self._state, request.end
        request.end = end
        state.groups.of[request.fragment].flying -= tail - end
        state.requeue(request.fragment, end, tail)
        if request.via != request.fragment:
            state.requeue_parity(request.via, end, tail)
        state.actions.append(Trim(request.id, end))

    def become_whole(self, request: Request) -> None:
        """The whole fragment comes instead of a range of it."""
        state = self._state
        request.whole = True
        _forget_rival(state, request)
        _note_whole(state, request)
        group = state.groups.of[request.fragment]
        if not request.cancelled:
            group.flying -= request.end - request.pos
        request.pos, request.end = 0, state.layout.pieces_of(request.via)
        request.first = 0
        if not request.cancelled:
            group.flying += request.end
        state.claim(request.fragment, 0, state.layout.pieces_of(request.fragment))
        state.claim(request.via, 0, request.end)

    def _release(self, request: Request) -> None:
        state = self._state
        state.groups.of[request.fragment].flying -= request.end - request.pos
        state.requeue(request.fragment, request.pos, request.end)
        if request.via != request.fragment:
            state.requeue_parity(request.via, request.pos, request.end)


# -- requests that work on the same pieces -------------------------------------------------------


def rivals_of(state: State, fragment: int, piece: int) -> list[Request]:
    """The requests that may bring a piece, where more than one may; else perhaps none."""
    few = state.hedged.get((fragment, piece), ()) if state.hedged else ()
    many = state.overlapping[fragment]
    if not many:
        return [r for r in few if not r.cancelled] if few else []
    found = {**many, **{r.id: r for r in few}}.values()
    return [r for r in found if not r.cancelled and r.pos <= piece < r.end]


def _note_whole(state: State, new: Request) -> None:
    """Note that all who bring pieces of a fragment have a rival, which brings all of it."""
    overlapping = state.overlapping[new.fragment]
    overlapping.update(state.working[new.fragment])
    overlapping[new.id] = new


def _note_rivals(state: State, new: Request, victim: Request | None) -> None:
    """Note that a new request works on what this one may bring as well."""
    if victim is not None and victim.end - victim.pos == 1 and not victim.whole:
        # The race may be one of before, of which a request that was cancelled has yet to end.
        racing = state.hedged.setdefault((new.fragment, new.pos), [])
        if victim not in racing:
            racing.append(victim)
        racing.append(new)
    else:
        state.overlapping[new.fragment][new.id] = new


def _forget_rival(state: State, request: Request) -> None:
    """A request has ended."""
    if many := state.overlapping[request.fragment]:
        many.pop(request.id, None)
    if state.hedged:
        at = request.fragment, request.end - 1
        racing = state.hedged.get(at)
        if racing is not None and request in racing:
            racing.remove(request)
            if not racing:
                del state.hedged[at]
