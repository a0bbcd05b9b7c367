"""Which requests are stalled, and which sources say nothing at all.

A connection may be lost without anybody being told, and a server may hang: the engine finds out by
a time-out, many seconds later. Until then a stalled request must not keep its source from being
asked for something else, and nobody should rely on a source all of whose requests are stalled.
"""

from __future__ import annotations

from collections import Counter

from regather.planner.pace import STALL_SECONDS
from regather.planner.state import State

_LATENCIES = 4
"""On a long path an answer may take so many times the usual before it is missed."""


def find_stalls(state: State, now: float) -> list[int]:
    """Update which sources are stalled; return those for which that changed."""
    stalled = Counter(
        request.source
        for request in state.requests.values()
        if now - request.moved > STALL_SECONDS
        and request.behind is None
        and not request.cancelled
        and now - request.moved > STALL_SECONDS + _LATENCIES * state.sources[request.source].latency
    )
    changed: list[int] = []
    for source in state.stalled | stalled.keys():
        health = state.sources[source]
        count = stalled[source]
        all_stalled = bool(count) and count >= health.active
        if (count, all_stalled) != (health.stalled, health.all_stalled):
            health.stalled, health.all_stalled = count, all_stalled
            state.invalidate(source)
            changed.append(source)
    state.stalled = set(stalled)
    return changed
