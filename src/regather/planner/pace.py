"""How fast requests go, and how long they will still take."""

from __future__ import annotations

from regather.planner.state import Request, State

STUCK_SECONDS = 1.0
"""A request that brought no byte for so long is stuck: even its own source may be asked again."""


def request_rate(state: State, request: Request, now: float) -> float:
    """Bytes a second that a request can be expected to bring; falls while nothing comes."""
    piece = state.layout.piece_size
    if request.behind is not None:
        return state.sources[request.source].rate or state.mean_rate()
    silent = max(now - request.moved, 1e-6)
    known = state.sources[request.source].rate
    if not known:
        # Nothing known of the source: what it brought so far, over the time that it took.
        known = max(request.partial, 1) / max(now - request.began, 1e-6)
        return known if request.partial else piece / max(now - request.began, 1e-6)
    return min(known, piece / silent)


def seconds_left(state: State, request: Request, now: float) -> float:
    """How long a request will still take, its wait for the one before it included."""
    wait = 0.0 if request.behind is None else seconds_left(state, request.behind, now)
    size = (request.end - request.pos) * state.layout.piece_size - request.partial
    return wait + size / request_rate(state, request, now)
