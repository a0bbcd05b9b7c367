"""What idle sources take over from requests in flight.

1. *Steal.* The request that would end last gives up its tail, so that both end together. Stealing
   costs no byte: only pieces not yet begun change hands.
2. *Hedge.* The last piece of a request that is late is asked for a second time; who comes second
   is cancelled. A third works on a piece only where both are stuck.
3. *Whole answers* go on beside those who help them, and are trimmed as their end comes
   (``whole.py``); a source that ignores ranges may only bring a fragment once more, in whole.

The latest request is matched with the fastest idle source that gains by it, then the next.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable

from regather.planner import parity as parity_runs
from regather.planner import whole
from regather.planner.inflight import Request
from regather.planner.pace import is_stuck, later_than, request_rate
from regather.planner.requests import rivals_of
from regather.planner.state import State
from regather.planner.work import Work, run_length

_HEDGE_FACTOR = 1.5
_STEAL_FACTOR = 1.2
_URGENT_SHARE = 0.8
"""For what a reader waits for, this part of these factors is enough."""
_WORTH_SECONDS = 0.02
"""Gains smaller than this are not worth a new request."""
_WORTH_TO_READERS = 0.05
"""The same where readers go on: what is stolen from often has to connect anew for what follows."""
_TRIAL_SECONDS = 2.0
"""A piece takes no longer with a source of which nothing is known, for all that is known."""
_MANY_SOURCES = 2000
_MOST_TRIES = 20_000
"""Pairs looked at in one go: what is left over is looked at the next time."""


def take_over(
    state: State, idle: Iterable[int], start: Callable[[int, Work], Request | None]
) -> None:
    """Match idle sources with requests in flight.

    ``start(source, work)`` begins what was found; it returns the new request, or None where no
    more may be begun at all.
    """
    sources = state.sources
    if len(sources) > _MANY_SOURCES and not _any_late(state):
        return  # thousands of idle ones are not compared for nothing
    able = sorted((own_time(state, s), s) for s in idle if sources[s].has_slot(state.now))
    if not able:
        return
    # Who would be done before the fastest of them could help is not worth a further look.
    least = 1.0 if state.turns.urgent else _STEAL_FACTOR
    late = later_than(state, able[0][0] * least + _worth(state))
    thieves = [thief for thief in able if not sources[thief[1]].ignores_ranges]
    if len(thieves) < len(able):
        whole.again(state, [s for _, s in able if sources[s].ignores_ranges], late, start)
    if thieves:
        _share_out(state, thieves, late, start)


def _any_late(state: State) -> bool:
    """Whether some request would be helped by a source as fast as the fastest known."""
    piece, mean = state.piece_size, state.mean_rate()
    least = min(_TRIAL_SECONDS, piece / max(mean, state.fastest)) * _STEAL_FACTOR + _worth(state)
    return any(not r.cancelled and _gain_asked(state, r) for _, r in later_than(state, least))


def _share_out(
    state: State,
    thieves: list[tuple[float, int]],
    late: list[tuple[float, Request]],
    start: Callable[[int, Work], Request | None],
) -> None:
    """Match sources, the fastest first, with requests that end late."""
    who = {source for _, source in thieves}
    helpers = parity_runs.helpers(state, who) if state.layout.sets else set()
    of = state.groups.of
    latest = [
        (-(left if not r.whole else whole.seconds_awaited(state, r)), r.id, r)
        for left, r in late
        if not r.cancelled
        and (
            not who.isdisjoint(of[r.fragment].holders)
            or (helpers and parity_runs.may_stand_in(state, r, helpers))
        )
    ]
    heapq.heapify(latest)
    least = _STEAL_FACTOR if state.everything else max(1.0, _STEAL_FACTOR * _URGENT_SHARE)
    worth = _worth(state)
    tries = 0
    while latest and thieves and tries < _MOST_TRIES:
        left, _, victim = heapq.heappop(latest)
        if -left <= thieves[0][0] * least + worth:
            return  # nor would any other be worth it
        factor = _gain_asked(state, victim)
        if not factor:
            continue
        if not state.everything:
            if not (victim.whole or state.is_wanted(victim.fragment, victim.pos)):
                continue
            if victim.urgent:
                factor = max(1.0, factor * _URGENT_SHARE)
        parity = parity_runs.stand_ins(state, victim, helpers) if helpers else []
        if not parity and who.isdisjoint(of[victim.fragment].holders):
            continue
        for at, (own, source) in enumerate(thieves):
            tries += 1
            if -left <= own * factor + worth:
                break  # nor for those who are slower still
            via = -1
            if not state.can_serve(source, victim.fragment):
                via = parity_runs.instead_of(state, victim, source, parity) if parity else -1
                if via < 0:
                    continue
            work = _taken(state, source, victim, -left, via)
            if work is None:
                continue
            begun = start(source, work)
            if begun is None:
                return
            if not state.sources[source].has_slot(state.now):
                del thieves[at]
            if victim.whole or not work.hedge:
                for request in (victim, begun):
                    seconds = whole.seconds_awaited(state, request)
                    heapq.heappush(latest, (-seconds, request.id, request))
            break


def _worth(state: State) -> float:
    """Seconds that a new request must gain."""
    return _WORTH_TO_READERS if state.turns.readers else _WORTH_SECONDS


def own_time(state: State, source: int) -> float:
    """Seconds in which a source brings one piece; to know nothing of it is worth a trial."""
    health = state.sources[source]
    if not health.rate and not health.failures:
        return min(_TRIAL_SECONDS, state.piece_size / state.mean_rate())
    return state.piece_size / (health.rate or state.mean_rate()) + health.latency


def _taken(state: State, source: int, victim: Request, left: float, parity: int) -> Work | None:
    """What a source takes over, of the fragment itself or of parity."""
    end = whole.open_end(state, victim)
    remaining = end - victim.pos
    if remaining == 1:
        if _may_hedge(state, victim, source, parity):
            return Work(victim.fragment, victim.pos, end, victim, hedge=True, via=parity)
        return None
    health = state.sources[source]
    rate = health.rate or state.mean_rate()
    theirs = request_rate(state, victim)
    both_end = (left - health.latency) * theirs * rate / (theirs + rate)
    count = max(1, round(both_end / state.piece_size))
    start = end - min(count, remaining - 1, run_length(state, health))
    if parity >= 0 and parity != victim.via:
        # Parity is free as one run only: from where that begins.
        start = max(start, next(a for a, b in state.free[parity] if a < end <= b))
    # A whole fragment comes in any case, and from its start: cutting it short would gain nothing,
    # and lose all where the other fails. Both go on, and what is done is skipped.
    return Work(victim.fragment, start, end, victim, hedge=victim.whole, via=parity)


def _gain_asked(state: State, victim: Request) -> float:
    """How many times faster a source must be to help a request; 0: it cannot be helped."""
    if victim.whole:
        left = whole.open_end(state, victim) - victim.pos
        if left < 1 or not whole.is_first(state, victim):
            return 0.0
        return _HEDGE_FACTOR if left == 1 else _STEAL_FACTOR
    if victim.end - victim.pos > 1:
        return _STEAL_FACTOR
    copies = rivals_of(state, victim.fragment, victim.pos)
    if (
        len(copies) < 2
        or all(is_stuck(state, r) for r in copies)
        or all(r.source == victim.source for r in copies)
    ):
        return _HEDGE_FACTOR
    return 0.0


def _may_hedge(state: State, request: Request, source: int, parity: int) -> bool:
    """Whether this source may bring the last piece of a request as well, perhaps as parity."""
    if state.suspect(source, request.fragment if parity < 0 else parity, request.pos):
        return False
    copies = rivals_of(state, request.fragment, request.pos)
    if len(copies) > 1:
        return all(r.source != source for r in copies)  # never twice from one source
    return request.source != source or is_stuck(state, request)
