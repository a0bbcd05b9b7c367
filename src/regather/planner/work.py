"""A piece of work for a source: what it is, how much of it, how pressing."""

from __future__ import annotations

from regather.planner.group import Group
from regather.planner.health import PATIENT_LATENCY, Health
from regather.planner.inflight import Request
from regather.planner.state import State
from regather.planner.values import Value

MAX_RUN_BYTES = 16 << 20
"""Longest request: long enough that its head costs nothing."""
FIRST_RUN_BYTES = 2 << 20
"""Longest request to a source whose rate is not known yet."""
RUN_SECONDS = 1.0
"""A request should take about this long."""


class Work(Value, frozen=True):
    """What a source should be asked for; with ``victim``, taken over from that request.

    ``fragment`` is what is wanted, ``via`` what is asked for: the same, or parity of its set.
    """

    fragment: int
    start: int
    end: int
    victim: Request | None = None
    hedge: bool = False
    via: int = -1
    urgent: bool = False
    """Whether a reader waits for it."""


def most_pressing(state: State, groups: list[Group]) -> tuple[Group | None, float]:
    """The group with free pieces that would be finished last, and how long all such take."""
    if len(groups) == 1:
        group = groups[0]
        if not group.free:
            return None, 0.0
        return group, (group.free + group.flying) / group.supply(state) * state.piece_size
    best: Group | None = None
    load = highest = 0.0
    for group in groups:
        if not group.free:
            continue
        seconds = (group.free + group.flying) / group.supply(state)
        load += seconds
        if best is None or seconds > highest:
            best, highest = group, seconds
        elif seconds == highest and (group.flying, group.free_heap[0]) < (
            best.flying,
            best.free_heap[0],
        ):
            best = group
    return best, load * state.piece_size


def pressing(state: State, group: Group) -> tuple[float, int, int]:
    """Smaller where a group would be finished later."""
    backlog = group.free + group.flying
    return (-backlog / group.supply(state), group.flying, group.free_heap[0])


def length_of(state: State, health: Health, group: Group, supply: float, pace: float) -> int:
    """How many pieces to ask for: half of what would be this connection's share of the rest.

    ``supply`` is what all holders of the group bring together, in bytes a second.
    """
    longest = run_length(state, health, pace)
    if longest == 1 or group.free == 1:
        return 1
    rate = pace or health.rate or state.mean_rate()
    share = int(group.free * rate / (2 * supply))
    if share < longest:
        return max(1, share)
    return longest


def run_length(state: State, health: Health, pace: float = 0.0) -> int:
    """Longest sensible request in pieces, by the rate of the connection, or of the source."""
    if health.corrupt_total:
        return 1  # no more is at stake than one piece
    own, piece = health.rate, state.piece_size
    if not own:
        # On a long path it takes a while until the rate is known: no more than that is at stake.
        short = health.latency > PATIENT_LATENCY
        return 1 if short else max(1, FIRST_RUN_BYTES // piece)
    rate = pace or own
    longest = min(MAX_RUN_BYTES, rate * RUN_SECONDS) / piece
    if health.pieces < longest:
        # In the beginning nobody knows what is needed where: no more than it has brought, or than
        # fills a long path.
        begun = max(health.pieces, 4 * health.latency * rate / piece)
        longest = min(longest, begun)
    return int(longest) or 1
