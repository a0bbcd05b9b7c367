"""What idle sources take over from requests in flight.

1. *Steal.* The request that would end last gives up its tail, so that both end together. Stealing
   costs no byte: only pieces not yet begun change hands.
2. *Hedge.* The last piece of a request that is late is asked for a second time; who comes second
   is cancelled. A third works on a piece only where both are stuck, or slow by far.

The latest request is matched with the fastest idle source that gains by it, then the next.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from regather.planner import standin
from regather.planner.pace import STUCK_SECONDS, later_than, request_rate, seconds_left
from regather.planner.state import Request, State
from regather.planner.work import Work, run_length

_HEDGE_FACTOR = 1.5
_THIRD_FACTOR = 2.0
_STEAL_FACTOR = 1.2
_WORTH_SECONDS = 0.02
"""Gains smaller than this are not worth a new request."""
_MOST_TRIES = 20_000
"""Pairs looked at in one go: what is left over is looked at the next time."""


def take_over(
    state: State, idle: Iterable[int], now: float, start: Callable[[int, Work], Request | None]
) -> None:
    """Match idle sources with requests in flight.

    ``start(source, work)`` begins what was found; it returns the new request, or None where no
    more may be begun at all.
    """
    thieves = sorted(
        (own_time(state, s), s)
        for s in idle
        if state.sources[s].has_slot(now) and not state.sources[s].ignores_ranges
    )
    if not thieves:
        return
    # Who would be done before the fastest of them could help is not worth a further look.
    least = thieves[0][0] * _STEAL_FACTOR + _WORTH_SECONDS
    who = {source for _, source in thieves}
    helpers = standin.helpers(state, who) if state.layout.sets else set()
    of = state.groups.of
    latest = [
        (-left, r.id, r)
        for left, r in later_than(state, least, now)
        if not r.cancelled
        and (
            not who.isdisjoint(of[r.fragment].holders)
            or (helpers and standin.may_stand_in(state, r, helpers))
        )
    ]
    heapq.heapify(latest)
    tries = 0
    while latest and thieves and tries < _MOST_TRIES:
        left, _, victim = heapq.heappop(latest)
        if -left <= thieves[0][0] * _STEAL_FACTOR + _WORTH_SECONDS:
            return  # nor would any other be worth it
        factor = _gain_asked(state, victim, now)
        if not factor:
            continue
        parity = standin.stand_ins(state, victim, helpers, now) if helpers else []
        if not parity and who.isdisjoint(of[victim.fragment].holders):
            continue
        for at, (own, source) in enumerate(thieves):
            tries += 1
            if -left <= own * factor + _WORTH_SECONDS:
                break  # nor for those who are slower still
            via = -1
            if not state.can_serve(source, victim.fragment):
                via = standin.instead_of(state, victim, source, parity) if parity else -1
                if via < 0:
                    continue
            work = _taken(state, source, victim, -left, now, via)
            if work is None:
                continue
            begun = start(source, work)
            if begun is None:
                return
            if not state.sources[source].has_slot(now):
                del thieves[at]
            if not work.hedge:
                for request in (victim, begun):
                    entry = (-seconds_left(state, request, now), request.id, request)
                    heapq.heappush(latest, entry)
            break


def own_time(state: State, source: int) -> float:
    """Seconds in which a source brings one piece."""
    health = state.sources[source]
    return state.piece_size / (health.rate or state.mean_rate()) + health.latency


def _taken(
    state: State, source: int, victim: Request, left: float, now: float, parity: int
) -> Work | None:
    """What a source takes over, of the fragment itself or of parity."""
    remaining = victim.end - victim.pos
    if remaining == 1:
        if _may_hedge(state, victim, source, parity, now):
            return Work(victim.fragment, victim.pos, victim.end, victim, hedge=True, via=parity)
        return None
    health = state.sources[source]
    rate = health.rate or state.mean_rate()
    theirs = request_rate(state, victim, now)
    both_end = (left - health.latency) * theirs * rate / (theirs + rate)
    count = max(1, round(both_end / state.piece_size))
    start = victim.end - min(count, remaining - 1, run_length(state, health))
    if parity >= 0 and parity != victim.via:
        start = max(start, standin.free_since(state, parity, victim.end))
    # A whole fragment comes in any case, and from its start: cutting it short would gain nothing,
    # and lose all where the other fails. Both go on, and what is done is skipped.
    return Work(victim.fragment, start, victim.end, victim, hedge=victim.whole, via=parity)


def _gain_asked(state: State, victim: Request, now: float) -> float:
    """How many times faster a source must be to help a request; 0: it cannot be helped."""
    if victim.whole:
        helped = victim.via == victim.fragment and not _shared(state, victim)
        return _STEAL_FACTOR if helped else 0.0
    if victim.end - victim.pos > 1:
        return _STEAL_FACTOR
    copies = state.rivals(victim.fragment, victim.pos)
    if (
        len(copies) < 2
        or all(now - r.moved > STUCK_SECONDS for r in copies)
        or all(r.source == victim.source for r in copies)
    ):
        return _HEDGE_FACTOR
    # A third where even the first of both is late by far: who hedged may be slow itself.
    if len(copies) > 2 or victim is not min(copies, key=lambda r: seconds_left(state, r, now)):
        return 0.0
    return _THIRD_FACTOR


def _shared(state: State, request: Request) -> bool:
    """Whether another request already works on pieces of this one."""
    return any(
        r is not request and not r.cancelled and r.pos < request.end and request.pos < r.end
        for r in state.working[request.fragment].values()
    )


def _may_hedge(state: State, request: Request, source: int, parity: int, now: float) -> bool:
    """Whether this source may bring the last piece of a request as well, perhaps as parity."""
    if state.suspect(source, request.fragment if parity < 0 else parity, request.pos):
        return False
    copies = state.rivals(request.fragment, request.pos)
    if len(copies) > 1:
        return all(r.source != source for r in copies)  # never twice from one source
    return request.source != source or now - request.moved > STUCK_SECONDS
