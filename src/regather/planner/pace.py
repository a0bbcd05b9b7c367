"""How fast requests go, how long they will still take, and which are stalled."""

from __future__ import annotations

from collections import Counter

from regather.planner.inflight import Request
from regather.planner.state import State

STALL_SECONDS = 1.0
"""A request that brought no byte for so long is stuck: even its own source may be asked again."""
_STALL_LATENCIES = 4
"""On a long path an answer may take so many times the usual before it is missed."""
OLD_SECONDS = 0.5
"""After so long a request is known by what it brought, before by its source."""
_AN_INSTANT = 1e-6


def request_rate(state: State, request: Request) -> float:
    """Bytes a second that a request can be expected to bring; falls while nothing comes."""
    piece = state.piece_size
    known = request.pace or state.sources[request.source].rate
    if request.behind is not None:
        return known or state.mean_rate()
    seconds = state.now - (request.answered if request.answered >= 0 else request.began)
    brought = (request.pos - request.first) * piece + request.partial
    if not known:
        known = (brought or piece) / max(seconds, _AN_INSTANT)
    elif seconds > OLD_SECONDS:
        # What it brought itself: the connections of a source are not equally fast.
        known = (brought or 1) / seconds
    quiet = state.now - request.moved
    return piece / quiet if known * quiet > piece else known


def later_than(state: State, least: float) -> list[tuple[float, Request]]:
    """The requests that still take more than so many seconds, with ``seconds_left`` of each.

    All are looked at, each once, for who waits came later than what it waits for.
    """
    piece = state.piece_size
    waits: dict[int, float] = {}
    late: list[tuple[float, Request]] = []
    for request in state.requests.values():
        left = (request.end - request.pos) * piece - request.partial
        seconds = left / request_rate(state, request)
        if request.behind is not None:
            seconds += waits[request.behind.id]
        if request.follower is not None:
            waits[request.id] = seconds
        if seconds > least:
            late.append((seconds, request))
    return late


def seconds_left(state: State, request: Request) -> float:
    """How long a request will still take, its wait for the one before it included."""
    wait = 0.0 if request.behind is None else seconds_left(state, request.behind)
    size = (request.end - request.pos) * state.piece_size - request.partial
    return wait + size / request_rate(state, request)


def note_slow(state: State, request: Request) -> None:
    """Note that another source brought the last piece of a request sooner.

    That is all there is to know of a source that never brought one to its end.
    """
    health = state.sources[request.source]
    if health.rate or request.answered < 0 or state.now <= request.answered:
        return
    most = state.piece_size / (state.now - request.answered)
    if most < state.mean_rate():
        health.guess(most)
        state.count_rate(request.source)


def is_stuck(state: State, request: Request) -> bool:
    """Whether a request brings nothing; one that waits for its turn is as the one before it."""
    while request.behind is not None:
        request = request.behind
    return state.now - request.moved > STALL_SECONDS


def find_stalls(state: State) -> list[int]:
    """Update which sources are stalled; return those for which that changed.

    A connection may be lost without anybody being told, and a server may hang: the engine finds
    out by a time-out, many seconds later. Until then a stalled request must not keep its source
    from being asked for something else, and nobody should rely on a source all of whose requests
    are stalled.
    """
    sources, now = state.sources, state.now
    stalled = Counter(
        request.source
        for request in state.requests.values()
        if now - request.moved > STALL_SECONDS
        and request.behind is None
        and not request.cancelled
        and now - request.moved > STALL_SECONDS + _STALL_LATENCIES * sources[request.source].latency
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
