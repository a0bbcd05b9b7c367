"""Free work for sources with which something is wrong: looked for fragment by fragment."""

from __future__ import annotations

from regather.planner.group import Group
from regather.planner.intervals import Run
from regather.planner.state import State
from regather.planner.work import Work, length_of, pressing


def probation_work(
    state: State, source: int, groups: list[Group], now: float, pace: float, once_more: bool
) -> Work | None:
    """As free work, fragment by fragment: for sources with which something is wrong."""
    health = state.sources[source]
    best: tuple[tuple[float, int, int], Group, int, Run] | None = None
    for group in groups:
        pressure = pressing(state, group, now)
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
    length = length_of(state, health, group, group.supply(state, now), pace)
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
