"""Which pieces that nobody works on a source should get. Changes nothing but what is stale.

Rules, tried in this order:

1. *Pressed first.* Of the groups with free pieces that the source holds, the one that would be
   finished last by all who hold it. This is what keeps a fragment with few holders from being
   left for the end. Inside it a fragment that nobody has begun, else the first one.
2. *Stand in.* Parity, row by row, for free pieces that nobody can send now, or that only a source
   holds that is far slower than the others (``standin.py``).

With nothing free, work is taken over from others (``takeover.py``).
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heappop

from regather.planner import standin
from regather.planner.groups import Group
from regather.planner.health import Health
from regather.planner.pace import seconds_left
from regather.planner.pieces import Run
from regather.planner.state import Request, State

MAX_RUN_BYTES = 16 << 20
"""Longest request: long enough that its head costs nothing."""
FIRST_RUN_BYTES = 4 << 20
"""Longest request to a source whose rate is not known yet."""
_AHEAD_LATENCIES = 1.25
_LOOK_SECONDS = 0.25
RUN_SECONDS = 1.0
"""A request should take about this long."""


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
    """The best free work for a source, or None where there is nothing worth while."""
    return _free_work(state, source, now) or (
        _standing_in(state, source, now) if state.layout.sets else None
    )


def look_ahead(state: State, request: Request, now: float) -> Work | None:
    """What a source should be asked for behind a request that soon ends; None: not yet, or nothing.

    The head of the next request is on its way while the body of this one still comes, so that a
    long path is as full as a short one.
    """
    health = state.sources[request.source]
    if (
        request.follower is not None
        or request.behind is not None
        or request.whole
        or request.cancelled
        or not state.unclaimed
        or not health.rate
        or health.failures
        or health.strikes
        or health.active > health.allowance
        or now < health.retry_at
    ):
        return None
    piece = state.layout.piece_size
    # The next chance to look is after a piece, or when progress is told.
    until_then = min(piece / health.rate, _LOOK_SECONDS)
    if seconds_left(state, request, now) > _AHEAD_LATENCIES * health.latency + until_then:
        return None
    return choose(state, request.source, now)


def _free_work(state: State, source: int, now: float) -> Work | None:
    health = state.sources[source]
    groups = [g for g in state.groups.of_source[source] if g.free]
    if not groups:
        return None
    if health.ignores_ranges or health.distrusted or state.suspects:
        return _careful(state, source, groups, now)
    group = groups[0]
    if len(groups) > 1:
        group = min(groups, key=lambda g: _pressure(state, g, now))
    if _better_left(state, health, group, now):
        return None
    fragment = _first_fragment(state, group)
    start, end = state.free[fragment].first()
    return Work(fragment, start, min(end, start + _length(state, source, group, now)))


def _pressure(state: State, group: Group, now: float) -> tuple[float, int, int]:
    """Smaller where a group would be finished later."""
    backlog = group.free + group.flying
    return (-backlog / group.supply(state, now), group.flying, group.open[0])


def _first_fragment(state: State, group: Group) -> int:
    """The fragment of a group to begin with; drops from its heaps what has nothing free."""
    fresh, of = group.fresh, state.groups.of
    while fresh:
        fragment = fresh[0]
        if state.free[fragment] and not state.working[fragment] and of[fragment] is group:
            return fragment
        heappop(fresh)
    while not (state.free[fragment := group.open[0]] and of[fragment] is group):
        heappop(group.open)
    return fragment


def _length(state: State, source: int, group: Group, now: float) -> int:
    """How many pieces to ask for: half of what would be this connection's share of the rest."""
    longest = run_length(state, source)
    if longest == 1 or group.free == 1:
        return 1
    rate = state.sources[source].rate or state.mean_rate()
    share = group.free * rate / (2 * group.supply(state, now))
    return max(1, min(longest, int(share)))


def _better_left(state: State, health: Health, group: Group, now: float) -> bool:
    """Whether faster holders bring all the rest before this source could bring one piece."""
    if not health.rate or not state.requests:
        return False
    own = state.layout.piece_size / health.rate + health.latency
    if group.free * state.layout.piece_size > own * group.supply(state, now):
        return False  # by far the most frequent: there is enough for all
    faster = group.faster(state, 2 * health.rate, now)
    return state.left * state.layout.piece_size < own * faster


def _careful(state: State, source: int, groups: list[Group], now: float) -> Work | None:
    """As free work, fragment by fragment: for sources with which something is wrong."""
    health = state.sources[source]
    best: tuple[tuple[float, int, int], Group, int, Run] | None = None
    for group in groups:
        pressure = _pressure(state, group, now)
        for fragment in state.groups.in_order(group):
            free, working = state.free[fragment], state.working[fragment].values()
            if not free or not state.can_serve(source, fragment):
                continue
            if health.ignores_ranges and any(r.source == source for r in working):
                continue
            key = pressure[0], len(working) if health.ignores_ranges else 0, fragment
            if best is not None and key >= best[0]:
                continue
            run = _first_run(state, source, fragment)
            if run is not None:
                best = key, group, fragment, run
    if best is None:
        return None
    _, group, fragment, run = best
    if health.ignores_ranges:
        return Work(fragment, 0, state.layout.pieces_of(fragment))
    length = _length(state, source, group, now)
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
    most = min(run_length(state, source), _fair_share(state, found.eligible))
    end = min(found.end, found.start + most)
    return Work(found.fragment, found.start, end, via=found.parity)


def run_length(state: State, source: int) -> int:
    """Longest sensible request in pieces, by the source's rate."""
    health = state.sources[source]
    if health.strikes:
        return 1  # no more is at stake than one piece
    size = min(MAX_RUN_BYTES, health.rate * RUN_SECONDS) if health.rate else FIRST_RUN_BYTES
    return max(1, int(size / state.layout.piece_size))


def _fair_share(state: State, pieces: int) -> int:
    """At most half of what would be this connection's share of the rest, in parity."""
    slots = sum(h.allowance for h in state.sources if not h.failures and not h.distrusted)
    return max(1, pieces // (2 * max(slots, 1)))
