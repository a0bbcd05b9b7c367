"""Which work a source with room for one more request should get. Reads the state, changes nothing.

Rules, tried in this order:

1. *Pressed first.* Of the fragments with free pieces that the source holds, the one that would be
   finished last by all who hold it. This is what keeps a fragment with few holders from being
   left for the end.
2. *Stand in.* Parity, row by row, for free pieces that nobody can send now, or that only a source
   holds that is far slower than the others (``standin.py``).
3. *Steal.* With nothing free, the request in flight that would end last gives up its tail, so
   that both end together. Stealing costs no byte: only pieces not yet begun change hands.
4. *Hedge.* The last piece of a request that is late is asked for a second time; who comes second
   is cancelled. At most two sources work on a piece.
"""

from __future__ import annotations

from dataclasses import dataclass

from regather.planner import standin
from regather.planner.pace import request_rate, seconds_left
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
    """What a source should be asked for; with ``victim``, taken over from that request.

    ``fragment`` is what is wanted, ``via`` what is asked for: the same, or parity of its set.
    """

    fragment: int
    start: int
    end: int
    victim: Request | None = None
    hedge: bool = False
    via: int = -1

    @property
    def asked(self) -> int:
        """The fragment to ask for."""
        return self.fragment if self.via < 0 else self.via


def choose(state: State, source: int, now: float) -> Work | None:
    """The best work for a source, or None where there is nothing worth while."""
    return (
        _free_work(state, source)
        or (_standing_in(state, source, now) if state.layout.sets else None)
        or _taken_over(state, source, now)
    )


def _free_work(state: State, source: int) -> Work | None:
    health = state.sources[source]
    mean = state.mean_rate()
    best: tuple[float, int, int] | None = None
    eligible = 0
    for fragment in range(state.layout.data_count):
        free = state.free[fragment]
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
        if f == fragment and source in who and state.others_can(fragment, who)
    }
    for start, end in state.free[fragment]:
        at = start
        while at in suspects:
            at += 1
        if at < end:
            stop = min((p for p in suspects if at < p < end), default=end)
            return at, stop
    return None


def _standing_in(state: State, source: int, now: float) -> Work | None:
    found = standin.free_rows(state, source, now)
    if found is None:
        return None
    if state.sources[source].ignores_ranges:
        return Work(found.fragment, 0, state.layout.pieces_of(found.parity), via=found.parity)
    most = min(_run_length(state, source), _fair_share(state, found.eligible))
    end = min(found.end, found.start + most)
    return Work(found.fragment, found.start, end, via=found.parity)


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


def _taken_over(state: State, source: int, now: float) -> Work | None:
    health = state.sources[source]
    if health.ignores_ranges:
        return None
    piece = state.layout.piece_size
    rate = health.rate or state.mean_rate()
    own_time = piece / rate + health.latency
    best: Request | None = None
    parity = -1
    longest = 0.0
    for request in state.requests.values():
        if request.cancelled or (request.whole and request.via != request.fragment):
            continue
        via = -1
        if not state.can_serve(source, request.fragment):
            via = standin.instead_of(state, request, source, now)
            if via < 0:
                continue
        left = seconds_left(state, request, now)
        if left <= longest:
            continue
        if request.whole and _shared(state, request):
            continue
        if request.end - request.pos > 1:
            worth = left > own_time * _STEAL_FACTOR + _WORTH_SECONDS
        else:
            worth = _may_hedge(state, request, source, now) and (
                left > own_time * _HEDGE_FACTOR + _WORTH_SECONDS
            )
        if worth:
            best, longest, parity = request, left, via
    if best is None:
        return None
    remaining = best.end - best.pos
    if remaining == 1:
        return Work(best.fragment, best.pos, best.end, best, hedge=True, via=parity)
    theirs = request_rate(state, best, now)
    both_end = (longest - health.latency) * theirs * rate / (theirs + rate)
    count = min(max(1, round(both_end / piece)), remaining - 1, _run_length(state, source))
    start = best.end - count
    if parity >= 0:
        start = max(start, standin.free_since(state, parity, best.end))
    # A whole fragment comes in any case, and from its start: cutting it short would gain nothing,
    # and lose all where the other fails. Both go on, and what is done is skipped.
    return Work(best.fragment, start, best.end, best, hedge=best.whole, via=parity)


def _shared(state: State, request: Request) -> bool:
    """Whether another request already works on pieces of this one."""
    return any(
        r is not request and not r.cancelled and r.pos < request.end and request.pos < r.end
        for r in state.working[request.fragment].values()
    )


def _may_hedge(state: State, request: Request, source: int, now: float) -> bool:
    piece = request.pos
    working = state.working[request.fragment].values()
    copies = [r for r in working if not r.cancelled and r.pos <= piece < r.end]
    if source in state.suspects.get((request.fragment, piece), ()):
        return False
    if len(copies) > 1:
        # A third only where all are stuck, and never twice from one source.
        return all(now - r.moved > _STUCK_SECONDS and r.source != source for r in copies)
    return request.source != source or now - request.moved > _STUCK_SECONDS
