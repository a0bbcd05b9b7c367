"""Work for readers, one after the other: what they wait for before all else, then read-ahead.

A reader's pieces are given in order, as many at a time as leave something for the others' turns.
"""

from __future__ import annotations

from heapq import heappop, heapreplace
from typing import TypeAlias

from regather.planner.group import Group
from regather.planner.health import Health
from regather.planner.readers import Demand, Line
from regather.planner.state import State
from regather.planner.work import Work, run_length

_TURN_SHARE = 4
"""While others wait, a turn is this part of the longest request."""
_LEAST_SECONDS = 0.01
"""A request that a source carries out sooner costs more than it gains, where more is wanted."""
_SLOWER = 2.0
"""A source this many times slower than the mean brings what is needed later."""
_QUEUED = 2.0
"""Pieces that it brings until then: one is under way."""

Found: TypeAlias = tuple[Group, Line, Demand, int, int, int]
"""Whose turn it is in which line of which group, and its fragment and pieces."""


def in_turn(state: State, source: int, groups: list[Group], pace: float) -> Work | None:
    """The next reader's work for a source. What is returned counts as given."""
    health = state.sources[source]
    for urgent in (True, False):
        found = _next(state, groups, urgent)
        if found is None:
            continue
        if not urgent and (skip := _pieces_meanwhile(state, health, found[0], found[1])):
            found = _later(state, found, skip)
            if found is None:
                return None
        group, line, demand, fragment, start, end = found
        if urgent and health.rate and _better_left(state, health, group):
            continue
        end = min(end, start + _length(state, health, group, line, urgent, pace))
        turns = state.turns
        turns.clock = demand.tag
        demand.tag += end - start
        return Work(fragment, start, end, urgent=urgent)
    return None


def _next(state: State, groups: list[Group], urgent: bool) -> Found | None:
    """Whose turn it is, and for which pieces; drops from the lines who has nothing to wait for."""
    while True:
        best: Line | None = None
        owner = groups[0] if groups else None
        for group in groups:
            line = group.urgent if urgent else group.ahead
            if line is not None and line.heap and (best is None or line.heap[0] < best.heap[0]):
                best, owner = line, group
        if best is None or owner is None:
            return None
        tag, number = best.heap[0]
        demand = best.waiting[number]
        if demand.tag > tag:
            heapreplace(best.heap, (demand.tag, number))
            continue
        of = state.groups.of
        for fragment, pieces in (demand.urgent if urgent else demand.held).items():
            if of[fragment] is owner and (run := pieces.first_shared(state.free[fragment])):
                return owner, best, demand, fragment, run[0], run[1]
        heappop(best.heap)
        del best.waiting[number]


def somebody_waits(groups: list[Group]) -> bool:
    """Whether the free pieces of some groups are for readers, in their turn."""
    return any(
        line is not None and line.heap for group in groups for line in (group.urgent, group.ahead)
    )


def _pieces_meanwhile(state: State, health: Health, group: Group, line: Line) -> int:
    """How far a reader gets while a source that is slower than most brings one piece.

    What it read next would come too late, and be asked of a faster source once more.
    """
    rate = health.rate
    if not rate or rate * _SLOWER >= state.mean_rate() or not _may_leave(state):
        return 0
    faster = group.faster(state, _SLOWER * rate)
    seconds = _QUEUED * state.piece_size / rate + health.latency
    return int(seconds * faster / state.piece_size / len(line.waiting))


def _later(state: State, found: Found, skip: int) -> Found | None:
    """Of the same reader's pieces, those that it needs only so many pieces later."""
    group, line, demand, fragment, _, _ = found
    if not demand.reads:
        return found
    held = demand.held[fragment]
    run = held.first_shared(state.free[fragment], held.runs[0][0] + skip)
    return None if run is None else (group, line, demand, fragment, run[0], run[1])


def _may_leave(state: State) -> bool:
    """Whether a slow source may leave pieces to faster ones.

    Where pieces were sent wrong, the faster ones may not be those who can send them.
    """
    return bool(state.requests) and not state.suspects


def _better_left(state: State, health: Health, group: Group) -> bool:
    """Whether faster sources bring all that is waited for before this one brings a piece."""
    if not _may_leave(state):
        return False
    faster = group.faster(state, _SLOWER * health.rate)
    own = state.piece_size / health.rate + health.latency
    return len(state.turns.urgent) * state.piece_size < own * faster


def _length(
    state: State, health: Health, group: Group, line: Line, urgent: bool, pace: float
) -> int:
    """How many pieces to give: half of this connection's share of all that is waited for.

    As readers go on, there is no end that all must reach together: no shorter than is worth it.
    """
    longest = run_length(state, health, pace)
    if longest == 1:
        return 1
    if len(line.waiting) > 1:
        longest = longest // _TURN_SHARE or 1
    rate = pace or health.rate or state.mean_rate()
    backlog = len(state.turns.urgent) if urgent else group.free
    share = int(backlog * rate / (2 * group.supply(state)))
    least = int(rate * _LEAST_SECONDS / state.piece_size)
    return min(longest, max(share, least, 1))
