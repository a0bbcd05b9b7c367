"""Whether there is hope for what is missing, and what to say where there is none. Reads only."""

from __future__ import annotations

from regather.planner import rows
from regather.planner.events import GiveUp
from regather.planner.pace import STALL_SECONDS
from regather.planner.state import State


def nothing_comes(state: State, now: float) -> bool:
    """Whether no request is in flight, save to sources that failed last or that say nothing."""
    if state.requests and not state.layout.sets:
        return False  # nothing could be done about it
    for request in state.requests.values():
        if not state.sources[request.source].failures and now - request.moved <= STALL_SECONDS:
            return False
    return True


def is_hope(state: State) -> bool:
    """Whether some missing piece may still come from a source that is worth waiting for."""
    data = range(state.layout.data_count)
    return any(state.free[f] and state.hopeful(f) for f in data) or any(
        rows.recoverable(state, number) for number in range(len(state.layout.sets))
    )


def give_up(state: State) -> GiveUp:
    """What is missing, and why."""
    missing = [
        f
        for f in range(state.layout.data_count)
        if any(
            rows.wanted_for_itself(state, f, piece)
            for run in state.wanted_within(f, 0, state.layout.pieces_of(f))
            for piece in range(*run)
            if not state.done[f][piece]
        )
    ]
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
