"""How fast requests go, and how long they will still take."""

from __future__ import annotations

from regather.planner.inflight import Request
from regather.planner.state import State

STALL_SECONDS = 1.0
"""A request that brought no byte for so long is stuck: even its own source may be asked again."""

OLD_SECONDS = 0.5
"""After so long a request is known by what it brought, before by its source."""
_AN_INSTANT = 1e-6


def request_rate(state: State, request: Request, now: float) -> float:
    """Bytes a second that a request can be expected to bring; falls while nothing comes."""
    piece = state.piece_size
    known = request.pace or state.sources[request.source].rate
    if request.behind is not None:
        return known or state.mean_rate()
    seconds = now - (request.answered if request.answered >= 0 else request.began)
    if not known:
        known = (bytes_brought(state, request) or piece) / max(seconds, _AN_INSTANT)
    elif seconds > OLD_SECONDS:
        # What it brought itself: the connections of a source are not equally fast.
        known = ((request.pos - request.first) * piece + request.partial or 1) / seconds
    quiet = now - request.moved
    return piece / quiet if known * quiet > piece else known


def bytes_brought(state: State, request: Request) -> int:
    """Bytes that came since the request was answered."""
    return (request.pos - request.first) * state.piece_size + request.partial


def later_than(state: State, least: float, now: float) -> list[tuple[float, Request]]:
    """The requests that still take more than so many seconds, with ``seconds_left`` of each.

    All are looked at, each once, for who waits came later than what it waits for.
    """
    piece = state.piece_size
    waits: dict[int, float] = {}
    late: list[tuple[float, Request]] = []
    for request in state.requests.values():
        left = (request.end - request.pos) * piece - request.partial
        seconds = left / request_rate(state, request, now)
        if request.behind is not None:
            seconds += waits[request.behind.id]
        if request.follower is not None:
            waits[request.id] = seconds
        if seconds > least:
            late.append((seconds, request))
    return late


def seconds_left(state: State, request: Request, now: float) -> float:
    """How long a request will still take, its wait for the one before it included."""
    wait = 0.0 if request.behind is None else seconds_left(state, request.behind, now)
    size = (request.end - request.pos) * state.piece_size - request.partial
    return wait + size / request_rate(state, request, now)


def note_slow(state: State, request: Request, now: float) -> None:
    """Note that another source brought the last piece of a request sooner.

    That is all there is to know of a source that never brought one to its end.
    """
    health = state.sources[request.source]
    if health.rate or request.answered < 0 or now <= request.answered:
        return
    most = state.piece_size / (now - request.answered)
    if most < state.mean_rate():
        health.guess(most)
        state.count_rate(request.source)
