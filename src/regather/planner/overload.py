"""Requests that stand in each other's way: a slow source with too many brings none in time.

How many connections a long path is begun with is chosen before its rate is known. Where it is so
slow that a piece on each of them would come only after all else, some are given up: those that are
left then come in time, and nobody has to bring the others once more in the end.
"""

from __future__ import annotations

from regather.planner.inflight import Request
from regather.planner.state import State

_HOPELESS = 1.5
"""A piece that takes so many times as long as all else would not be waited for."""
_SETTLED_SECONDS = 0.5
_SETTLED_LATENCIES = 3
"""After both together a source's rate tells what it can bring: connections start slowly."""


def surplus_requests(state: State) -> list[Request]:
    """Requests whose piece in transfer would come too late only because of others beside it."""
    by_source: dict[int, list[Request]] = {}
    slow = state.piece_size / _SETTLED_SECONDS
    sources = state.sources
    for request in state.requests.values():
        health = sources[request.source]
        if (
            0 < health.rate < slow
            and health.active > 1
            and request.behind is None
            and not (request.cancelled or request.whole)
        ):
            by_source.setdefault(request.source, []).append(request)
    found: list[Request] = []
    for source, requests in by_source.items():
        settled = state.now - _SETTLED_SECONDS - _SETTLED_LATENCIES * sources[source].latency
        if len(requests) > 1 and any(0 <= r.answered <= settled for r in requests):
            found += _too_many(state, source, requests)
    return found


def _too_many(state: State, source: int, requests: list[Request]) -> list[Request]:
    """Those of a source's requests that are behind the others, as many as have to go."""
    groups = [*state.groups.of_source[source]]
    groups += {state.groups.of[request.fragment] for request in requests}.difference(groups)
    pieces = sum((g.free + g.flying) / g.supply(state) for g in groups if g.free or g.flying)
    enough = pieces * state.piece_size * state.sources[source].rate * len(requests)
    requests.sort(key=lambda request: (request.partial, -request.id), reverse=True)
    left = [state.piece_size - request.partial for request in requests]
    if left[-1] * len(left) <= _HOPELESS * enough:
        return []
    keep = len(left)
    while keep > 1 and left[keep - 1] * keep > enough:
        keep -= 1
    return requests[keep:]
