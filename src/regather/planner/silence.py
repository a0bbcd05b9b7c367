"""Which requests are stuck, and which sources say nothing at all.

A connection may be lost without anybody being told, and a server may hang: the engine finds out by
a time-out, many seconds later. Until then a stuck request must not keep its source from being asked
for something else, and nobody should rely on a source all of whose requests are stuck.
"""

from __future__ import annotations

from collections import Counter

from regather.planner.pace import STUCK_SECONDS
from regather.planner.state import State

_LATENCIES = 4
"""On a long path an answer may take so many times the usual before it is missed."""


def listen(state: State, now: float) -> list[int]:
    """Note who is stuck or silent; the sources of which that is news."""
    stuck = Counter(
        request.source
        for request in state.requests.values()
        if now - request.moved > STUCK_SECONDS
        and request.behind is None
        and not request.cancelled
        and now - request.moved > STUCK_SECONDS + _LATENCIES * state.sources[request.source].latency
    )
    changed: list[int] = []
    for source in state.stuck | stuck.keys():
        health = state.sources[source]
        count = stuck[source]
        silent = bool(count) and count >= health.active
        if (count, silent) != (health.stuck, health.silent):
            health.stuck, health.silent = count, silent
            state.forget(source)
            changed.append(source)
    state.stuck = set(stuck)
    return changed
