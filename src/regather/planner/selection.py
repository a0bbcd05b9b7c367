"""Which work a source with room for one more request should get. Reads the state, changes nothing.

Three rules, tried in this order:

1. *Pressed first.* Of the fragments with free pieces that the source holds, the one that would be
   finished last by all who hold it. This is what keeps a fragment with few holders from being
   left for the end.
2. *Steal.* With nothing free, the request in flight that would end last gives up its tail, so
   that both end together. Stealing costs no byte: only pieces not yet begun change hands.
3. *Hedge.* The last piece of a request that is late is asked for a second time; who comes second
   is cancelled. At most two sources work on a piece.
"""

from __future__ import annotations

from dataclasses import dataclass

from regather.planner.pieces import Run
from regather.planner.state import Request, State

MAX_RUN_BYTES = 16 << 20
"""Longest request: long enough that its head costs nothing."""
FIRST_RUN_BYTES = 4 << 20
"""Longest request to a source whose rate is not known yet."""
RUN_SECONDS = 1.0
"""A request should take about this long."""
_HEDGE_FACTOR = 1.5
_STEAL_FACTOR = 1.2
_WORTH_SECONDS = 0.02
"""Gains smaller than this are not worth a new request."""
_STUCK_SECONDS = 1.0
"""A source hedges its own request only after this long without a byte."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a source should be asked for; with ``victim``, taken over from that request."""

    fragment: int
    start: int
    end: int
    victim: Request | None = None
    hedge: bool = False


def choose(state: State, source: int, now: float) -> Work | None:
    """The best work for a source, or None where there is nothing worth while."""
    return _free_work(state, source) or _taken_over(state, source, now)


def _free_work(state: State, source: int) -> Work | None:
    health = state.sources[source]
    mean = state.mean_rate()
    best: tuple[float, int, int] | None = None
    eligible = 0
    for fragment, free in enumerate(state.free):
        if not free or not state.can_serve(source, fragment):
            continue
        working = state.working[fragment].values()
        if health.ignores_ranges and any(r.source == source for r in working):
            continue
        eligible += free.count
        backlog = free.count + sum(r.end - r.pos for r in working)
        supply = sum(
            (h.rate or mean) * h.allowance
            for s, h in enumerate(state.sources)
            if not h.failures and state.can_serve(s, fragment)
        )
        key = (-backlog / (supply or mean), len(working), fragment)
        if best is None or key < best:
            if _first_run(state, source, fragment) is None:
                continue
            best = key
    if best is None:
        return None
    fragment = best[2]
    if health.ignores_ranges:
        return Work(fragment, 0, state.layout.pieces_of(fragment))
    run = _first_run(state, source, fragment)
    assert run is not None
    length = min(_run_length(state, source), _fair_share(state, eligible))
    return Work(fragment, run[0], min(run[1], run[0] + length))


def _first_run(state: State, source: int, fragment: int) -> Run | None:
    """The first free run without pieces that this source sent wrong and another could send."""
    suspects = {
        piece
        for (f, piece), who in state.suspects.items()
        if f == fragment and source in who and _others_can(state, fragment, who)
    }
    for start, end in state.free[fragment]:
        at = start
        while at in suspects:
            at += 1
        if at < end:
            stop = min((p for p in suspects if at < p < end), default=end)
            return at, stop
    return None


def _others_can(state: State, fragment: int, but: set[int]) -> bool:
    return any(
        s not in but and not h.failures and state.can_serve(s, fragment)
        for s, h in enumerate(state.sources)
    )


def _run_length(state: State, source: int) -> int:
    """Longest sensible request in pieces, by the source's rate."""
    if state.sources[source].strikes:
        return 1  # no more is at stake than one piece
    rate = state.sources[source].rate
    size = min(MAX_RUN_BYTES, rate * RUN_SECONDS) if rate else FIRST_RUN_BYTES
    return max(1, int(size / state.layout.piece_size))


def _fair_share(state: State, pieces: int) -> int:
    """At most half of what would be this connection's share of the rest."""
    slots = sum(h.allowance for h in state.sources if not h.failures and not h.distrusted)
    return max(1, pieces // (2 * max(slots, 1)))


# -- taking over from others ------------------------------------------------------------------


def request_rate(state: State, request: Request, now: float) -> float:
    """Bytes a second that a request can be expected to bring; falls while nothing comes."""
    piece = state.layout.piece_size
    silent = max(now - request.moved, 1e-6)
    known = state.sources[request.source].rate
    if not known:
        # Nothing known of the source: what it brought so far, over the time that it took.
        known = max(request.partial, 1) / max(now - request.began, 1e-6)
        return known if request.partial else piece / max(now - request.began, 1e-6)
    return min(known, piece / silent)


def seconds_left(state: State, request: Request, now: float) -> float:
    """How long a request will still take."""
    size = (request.end - request.pos) * state.layout.piece_size - request.partial
    return size / request_rate(state, request, now)


def _taken_over(state: State, source: int, now: float) -> Work | None:
    health = state.sources[source]
    if health.ignores_ranges:
        return None
    piece = state.layout.piece_size
    rate = health.rate or state.mean_rate()
    own_time = piece / rate + health.latency
    best: Request | None = None
    longest = 0.0
    for request in state.requests.values():
        if request.cancelled or not state.can_serve(source, request.fragment):
            continue
        left = seconds_left(state, request, now)
        if left <= longest:
            continue
        if request.end - request.pos > 1:
            worth = left > own_time * _STEAL_FACTOR + _WORTH_SECONDS
        else:
            worth = _may_hedge(state, request, source, now) and (
                left > own_time * _HEDGE_FACTOR + _WORTH_SECONDS
            )
        if worth:
            best, longest = request, left
    if best is None:
        return None
    remaining = best.end - best.pos
    if remaining == 1:
        return Work(best.fragment, best.pos, best.end, best, hedge=True)
    theirs = request_rate(state, best, now)
    both_end = (longest - health.latency) * theirs * rate / (theirs + rate)
    count = min(max(1, round(both_end / piece)), remaining - 1, _run_length(state, source))
    return Work(best.fragment, best.end - count, best.end, best)


def _may_hedge(state: State, request: Request, source: int, now: float) -> bool:
    piece = request.pos
    working = state.working[request.fragment].values()
    copies = sum(1 for r in working if not r.cancelled and r.pos <= piece < r.end)
    if copies > 1 or source in state.suspects.get((request.fragment, piece), ()):
        return False
    return request.source != source or now - request.moved > _STUCK_SECONDS
