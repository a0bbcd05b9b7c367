"""Whole fragments in place of ranges: what of them is awaited, and who brings one once more."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from regather.planner.inflight import Request
from regather.planner.pace import request_rate, seconds_left
from regather.planner.state import State
from regather.planner.work import Work

_CLEARLY = 2.0
_WORTH_SECONDS = 1.0
"""A fragment comes once more in whole where that takes so many times less, and so much."""


def open_end(state: State, request: Request) -> int:
    """Where the pieces end that nobody brings but this request; at its ``pos``: there are none.

    What is behind, of a whole answer, is settled, or requests for ranges of it are in flight.
    """
    end = request.end
    if not request.whole:
        return end
    settled, passed = state.settled[request.fragment], state.done[request.via]
    working = state.working[request.fragment].values()
    others = sorted([(r.end, r.pos) for r in working if not (r.whole or r.cancelled)])
    while end > request.pos:
        before = end
        end = settled.rfind(0, request.pos, end) + 1
        if passed is not settled:
            end = passed.rfind(0, request.pos, end) + 1
        if not state.everything:
            runs = state.wanted_within(request.fragment, request.pos, end)
            end = runs[-1][1] if runs else request.pos
        while others and others[-1][0] >= end:
            end = min(end, others.pop()[1])
        if end == before:
            return end
    return request.pos


def seconds_awaited(state: State, request: Request) -> float:
    """How long a request takes until nobody waits for it any more."""
    if not request.whole:
        return seconds_left(state, request)
    size = (open_end(state, request) - request.pos) * state.piece_size - request.partial
    return max(0, size) / request_rate(state, request)


def is_first(state: State, request: Request) -> bool:
    """Whether no other whole answer brings the same fragment sooner."""
    seconds = seconds_left(state, request), request.id
    return not any(
        (seconds_left(state, r), r.id) < seconds
        for r in state.working[request.fragment].values()
        if r.whole and r is not request and not r.cancelled
    )


def again(
    state: State,
    idle: Iterable[int],
    late: list[tuple[float, Request]],
    start: Callable[[int, Work], Request | None],
) -> None:
    """Idle sources that ignore ranges bring fragments once more that would come much later."""
    waits: dict[int, tuple[float, Request]] = {}
    for seconds, request in late:
        asked = request.via
        if request.cancelled or (asked in waits and seconds <= waits[asked][0]):
            continue
        # Some of it may be there by another answer that is unknown as its rival.
        settled, there = state.settled[request.fragment], state.done[asked]
        pieces = range(request.pos, open_end(state, request))
        if not all(settled[piece] or there[piece] for piece in pieces):
            waits[asked] = seconds, request
    for source in idle:
        health = state.sources[source]
        rate = health.rate or state.mean_rate()
        best: tuple[float, Request] | None = None
        for asked, (seconds, request) in waits.items():
            own = request.end * state.piece_size / rate + health.latency
            gain = seconds - _CLEARLY * own
            if (
                gain > _WORTH_SECONDS
                and (best is None or gain > best[0])
                and source != request.source
                and state.can_serve(source, asked)
                and not _comes(state, source, request, _CLEARLY * own)
            ):
                best = gain, request
        if best is not None:
            victim = best[1]
            via = -1 if victim.via == victim.fragment else victim.via
            end = state.layout.pieces_of(victim.via)
            if start(source, Work(victim.fragment, 0, end, victim, hedge=True, via=via)) is None:
                return


def _comes(state: State, source: int, late: Request, least: float) -> bool:
    """Whether a source brings it already, or another one in whole within so many seconds."""
    return any(
        r.source == source or (r.whole and seconds_left(state, r) <= least)
        for r in state.working[late.fragment].values()
        if r is not late and not r.cancelled
    )
