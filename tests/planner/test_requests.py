"""Requests and the counts that they touch."""

from __future__ import annotations

from regather.planner.events import Cancel, Trim
from regather.planner.health import Health
from regather.planner.requests import Requests
from regather.planner.state import State
from regather.planner.work import Work
from tests.simulation.world import layout_of

MIB = 1 << 20


def test_a_request_ends_with_the_last_piece_that_is_still_wanted() -> None:
    state = State(layout_of([6 * MIB]), [None], [Health(1)], 5)
    requests = Requests(state)
    request = requests.begin(0, Work(0, 0, 5))
    for piece in (2, 4):
        state.done[0][piece] = 1
    requests.trim(request)
    state.done[0][3] = 1
    requests.trim(request)
    assert state.groups.of[0].flying == 2
    state.done[0][0] = state.done[0][1] = 1
    requests.trim(request)
    assert state.actions[1:] == [Trim(request.id, 4), Trim(request.id, 2), Cancel(request.id)]
    assert state.groups.of[0].flying == 0


def test_what_a_source_brings_counts_its_connections_while_it_is_heard() -> None:
    state = State(layout_of([6 * MIB]), [None, None], [Health(4), Health(4)], 5)
    requests = Requests(state)
    group = state.groups.of[0]
    state.now = 1.0
    state.sources[0].received(MIB, state.now)
    state.count_rate(0)
    first = requests.begin(0, Work(0, 0, 1))
    requests.begin(0, Work(0, 1, 2))
    assert group.supply(state) == 3 * MIB, "two connections, and one of a source not yet known"
    state.now = 2.0
    requests.end(first)
    state.sources[1].failures = 1
    state.invalidate(1)
    assert group.supply(state) == MIB
