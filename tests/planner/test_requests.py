"""Requests and the counts that they touch."""

from __future__ import annotations

from regather.planner.events import Action, Cancel, Trim
from regather.planner.health import Health
from regather.planner.requests import Requests
from regather.planner.state import State
from regather.planner.work import Work
from tests.simulation.world import layout_of

MIB = 1 << 20


def test_a_request_ends_with_the_last_piece_that_is_still_wanted() -> None:
    state = State(layout_of([6 * MIB]), [None], [Health(1)], 5)
    requests = Requests(state)
    actions: list[Action] = []
    request = requests.begin(0, Work(0, 0, 5), 0.0, actions)
    for piece in (2, 4):
        state.done[0][piece] = 1
    requests.trim(request, actions)
    state.done[0][3] = 1
    requests.trim(request, actions)
    assert state.groups.of[0].flying == 2
    state.done[0][0] = state.done[0][1] = 1
    requests.trim(request, actions)
    assert actions[1:] == [Trim(request.id, 4), Trim(request.id, 2), Cancel(request.id)]
    assert state.groups.of[0].flying == 0
