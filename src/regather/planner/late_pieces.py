"""Pieces that a reader waits for, and that parity would bring clearly sooner."""

from __future__ import annotations

from collections.abc import Iterator

from regather.planner.pace import request_rate
from regather.planner.rows import missing
from regather.planner.state import State
from regather.planner.steal_and_hedge import own_time

_CLEARLY = 2.0
"""A piece is late if it takes so many times as long as the rest of its row, and so much longer:"""
_WORTH_SECONDS = 0.5


def late_pieces(state: State) -> Iterator[tuple[int, int, int]]:
    """The (set, fragment, row) of each; its row is not wanted yet."""
    soonest: dict[tuple[int, int], float] = {}
    for request in state.requests.values():
        if not request.urgent or request.cancelled or request.behind is not None:
            continue
        number, fragment, row = state.layout.set_of[request.fragment], request.fragment, request.pos
        if number < 0 or (number, row) in state.row_wants or (number, row) in state.bad_rows:
            continue
        if state.layout.first_pieces[fragment] + row in state.turns.urgent:
            rate = request_rate(state, request)
            seconds = (state.piece_size - request.partial) / rate
            place = fragment, row
            soonest[place] = min(seconds, soonest.get(place, seconds))
    for (fragment, row), seconds in soonest.items():
        number = state.layout.set_of[fragment]
        if seconds > _CLEARLY * _row_seconds(state, number, fragment, row) + _WORTH_SECONDS:
            yield number, fragment, row


def _row_seconds(state: State, number: int, fragment: int, row: int) -> float:
    """How long the rest of a row takes, as far as it is needed to compute a piece."""
    members = state.layout.sets[number]
    lost = missing(state, members, row)
    there = state.parity_rows[number].get(row, 0)
    others = [f for f in lost if f != fragment]
    others += [f for f in members.parity if not state.done[f][row]]
    times = sorted([seconds for f in others if (seconds := _seconds(state, f)) >= 0])
    needed = len(lost) - there
    if needed > len(times):
        return float("inf")
    return times[needed - 1] if needed > 0 else 0.0


def _seconds(state: State, fragment: int) -> float:
    """In how many seconds a source brings a piece of a fragment; -1: there is none to rely on."""
    sources = state.sources
    times = [
        own_time(state, s)
        for s in state.groups.of[fragment].holders
        if not (sources[s].unreachable or sources[s].distrusted or sources[s].ignores_ranges)
    ]
    return min(times, default=-1.0)
