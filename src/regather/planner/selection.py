"""Which pieces that nobody works on a source should get. Changes nothing but what is stale.

Rules, tried in this order:

1. *Pressed first.* Of the groups with free pieces that the source holds, the one that would be
   finished last by all who hold it. This is what keeps a fragment with few holders from being
   left for the end. Inside it a fragment that nobody has begun, else the first one.
2. *Stand in.* Parity, row by row, for free pieces that nobody can send now, or that only a source
   holds that is far slower than the others (``parity.py``).
3. *Once more*: pieces that the source itself sent wrong, and that nobody else could send.

With nothing free, work is taken over from others (``steal_and_hedge.py``).
"""

from __future__ import annotations

from regather.planner import parity
from regather.planner.fair_turns import in_turn, somebody_waits
from regather.planner.group import Group
from regather.planner.health import MAX_CORRUPT, Health
from regather.planner.inflight import Request
from regather.planner.intervals import Run
from regather.planner.pace import request_rate
from regather.planner.state import State
from regather.planner.work import Work, length_of, most_pressing, pressing, run_length

_FELT_LATENCY = 0.002
"""Seconds to the first byte above which requests are sent while the one before is still coming."""
_AHEAD_LATENCIES = 1.25
"""A request goes out so many round trips before the one before it ends."""
_LOOK_SECONDS = 0.25
_YOUNG_LATENCIES = 10
"""For so many round trips a connection may still become faster by far."""
_UNEVEN = 4.0
"""So many times the usual is the most that one connection of a source brings."""


def choose(state: State, source: int, pace: float = 0.0) -> Work | None:
    """The best free work for a source, or None where there is nothing worth while.

    ``pace`` is what the connection brings, in bytes a second; 0: as much as others of the source.
    """
    if work := _free_work(state, source, pace):
        return work
    if state.layout.sets and (work := _standing_in(state, source, pace)):
        return work
    return _once_more(state, source) if state.suspects else None


def look_ahead(state: State, request: Request) -> Work | None:
    """What a source should be asked for behind a request that soon ends; None: not yet, or nothing.

    The head of the next request is on its way while the body of this one still comes, so that a
    long path is as full as a short one: only where the wait for its answer would be felt. Nothing
    may wait behind the request yet.
    """
    if request.behind is not None or not state.unclaimed:
        return None
    source = request.source
    health = state.sources[source]
    latency, rate = health.latency, health.rate
    if latency < _FELT_LATENCY:
        return None
    piece = state.piece_size
    # The next chance to look is after a piece, or when progress is told.
    seconds = _AHEAD_LATENCIES * latency + _LOOK_SECONDS
    left = (request.end - request.pos) * piece
    if rate:
        if left > _UNEVEN * rate * seconds:
            return None  # by far not yet
        pace = request_rate(state, request)
        began = request.answered if request.answered >= 0 else request.began
        if left - request.partial > seconds * pace and (
            # What starts slowly ends its last piece sooner than its pace tells.
            left > piece or request.answered < 0 or state.now - began >= _YOUNG_LATENCIES * latency
        ):
            return None
    elif left > piece:
        return None  # where nothing is known, only behind a last piece
    else:
        pace = request_rate(state, request)
    if (
        request.whole
        or request.cancelled
        or health.failures
        or health.corrupt_total
        or state.now < health.retry_at
        or health.active > health.concurrency.connections
    ):
        return None
    return choose(state, source, pace)


def _free_work(state: State, source: int, pace: float) -> Work | None:
    health = state.sources[source]
    groups = state.groups.of_source[source]
    if health.ignores_ranges or health.corrupt_total:
        groups = [g for g in groups if g.free]
        return _probation_work(state, source, groups, pace, once_more=False)
    if state.turns.readers:
        work = in_turn(state, source, groups, pace)
        if work is not None or somebody_waits(groups):
            return work
    group, load = most_pressing(state, groups)
    if group is None:
        return None
    rate = health.rate
    if rate and state.requests:
        own = state.piece_size / rate + health.latency
        # By far the most frequent: there is enough for all.
        if load <= own and _better_left(state, health, group, load, own):
            return None
    fragment = group.free_heap[0]
    free = state.free[fragment]
    if group.untouched_heap or not free.count or state.groups.of[fragment] is not group:
        fragment = state.groups.first(group, state.free, state.working)
        free = state.free[fragment]
    start, end = free.runs[0]
    # Its supply was summed, where that was due, to find out how pressing it is.
    length = length_of(state, health, group, group.known_supply, pace)
    return Work(fragment, start, start + length if length < end - start else end)


def _once_more(state: State, source: int) -> Work | None:
    """Pieces that it sent wrong, where there is nothing else to ask it for."""
    groups = [g for g in state.groups.of_source[source] if g.free]
    if not groups or not state.sources[source].corrupt_total:
        return None
    return _probation_work(state, source, groups, 0.0, once_more=True)


def _better_left(state: State, health: Health, group: Group, load: float, own: float) -> bool:
    """Whether faster holders bring all the rest before this source could bring one piece.

    ``load`` is how long what is left takes, in seconds, as far as this source has a part in it,
    ``own`` how long its own piece would.
    """
    faster = group.faster(state, 2 * health.rate)
    return load * group.supply(state) < own * faster


def _standing_in(state: State, source: int, pace: float) -> Work | None:
    found = parity.free_rows(state, source)
    if found is None:
        return None
    if state.sources[source].ignores_ranges:
        return Work(found.fragment, 0, state.layout.pieces_of(found.parity), via=found.parity)
    most = run_length(state, state.sources[source], pace)
    if most > 1:
        most = min(most, _fair_share(state, found.eligible))
    end = min(found.end, found.start + most)
    return Work(found.fragment, found.start, end, via=found.parity)


def _fair_share(state: State, pieces: int) -> int:
    """At most half of what would be this connection's share of the rest, in parity."""
    slots = sum(
        [
            health.concurrency.connections
            for health in state.sources
            if not health.failures and health.corrupt_total < MAX_CORRUPT
        ]
    )
    return max(1, pieces // (2 * max(slots, 1)))


# -- sources with which something is wrong ------------------------------------------------------


def _probation_work(
    state: State, source: int, groups: list[Group], pace: float, once_more: bool
) -> Work | None:
    """As free work, fragment by fragment: for sources with which something is wrong."""
    health = state.sources[source]
    best: tuple[tuple[float, int, int], Group, int, Run] | None = None
    for group in groups:
        pressure = pressing(state, group)
        for fragment in state.groups.in_order(group):
            free, working = state.free[fragment], state.working[fragment].values()
            if not free or not state.can_serve(source, fragment):
                continue
            if health.ignores_ranges and any(r.source == source for r in working):
                continue
            key = pressure[0], len(working) if health.ignores_ranges else 0, fragment
            if best is not None and key >= best[0]:
                continue
            run = _first_run(state, source, fragment, once_more)
            if run is not None:
                best = key, group, fragment, run
    if best is None:
        return None
    _, group, fragment, run = best
    if health.ignores_ranges:
        return Work(fragment, 0, state.layout.pieces_of(fragment))
    length = length_of(state, health, group, group.supply(state), pace)
    return Work(fragment, run[0], min(run[1], run[0] + length))


def _first_run(state: State, source: int, fragment: int, once_more: bool) -> Run | None:
    """The first free run without pieces that this source sent wrong.

    Those are asked for ``once_more`` when there is nothing else that it could send, and nobody
    else to send them: a source is given up for wrong pieces in a row, and with it all it has.
    """
    suspects = {
        piece
        for (f, piece), who in state.suspects.items()
        if f == fragment and source in who and not (once_more and not state.others_can(f, who))
    }
    for start, end in state.free[fragment]:
        at = start
        while at in suspects:
            at += 1
        if at < end:
            stop = min((p for p in suspects if at < p < end), default=end)
            return at, stop
    return None
