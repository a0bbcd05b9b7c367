"""What is counted by row of an erasure set."""

from __future__ import annotations

from regather.planner import rows
from regather.planner.health import Health
from regather.planner.state import State
from tests.simulation.world import layout_of

MIB = 1 << 20


def test_a_row_lacks_the_data_that_is_not_done() -> None:
    state = State(layout_of([3 * MIB, 3 * MIB, MIB], parity=1), [None], [Health(1)], 5)
    assert state.lacking[0].tolist() == [3, 2, 2]
    state.now_done(1, 2)
    state.now_done(2, 0)
    assert state.lacking[0].tolist() == [2, 2, 1]
    assert state.left == 5


def test_parity_of_a_row_that_came_whole_is_not_free() -> None:
    state = State(layout_of([2 * MIB, 2 * MIB], parity=2), [None], [Health(1)], 5)
    state.claim(2, 0, 1)  # it is on its way
    rows.came_whole(state, 0, 0)
    assert [list(state.free[f]) for f in (2, 3)] == [[(1, 2)], [(1, 2)]]
    assert state.spare_after_row == [0, 0, 0, 1]
    assert state.groups.of[3].free == 2
