"""How many connections are found to be worth while."""

from __future__ import annotations

from regather.planner import Finished
from regather.planner.concurrency import HillClimb
from tests.simulation.world import Model, World, layout_of


def settled(most: float, each: float, limit: int = 16, start: int = 8) -> int:
    """Where the search stands after a minute on a path of ``most`` bytes a second.

    One connection brings ``each`` at most.
    """
    climb = HillClimb(connections=start)
    climb.begin(0.0, 0.2, long_path=True)
    now = 0.0
    for _ in range(6000):
        now += 0.01
        if now >= climb.since:
            climb.received += round(0.01 * min(most, each * climb.connections))
        if climb.over(now, 0.2):
            climb.judge(now, 0.2, limit, 0.01, more=True)
    return climb.connections


def test_the_path_is_filled_even_where_a_quarter_more_is_too_many() -> None:
    assert settled(100e6, 8e6) in {13, 14}
    assert settled(90e6, 8e6) in {11, 12}


def test_as_many_as_are_allowed_where_all_of_them_pay() -> None:
    assert settled(1e9, 8e6) == 16


def test_no_more_than_fill_the_path() -> None:
    assert settled(64e6, 8e6) == 8


def test_nothing_is_tried_when_the_last_pieces_come() -> None:
    for mib in (119, 120, 121, 122, 123):
        # About 10.4 s, and the first trial is due after 10 s.
        world = World(layout_of([mib << 20]), [Model(bandwidth=12e6, latency=0.05)])
        assert world.run() == Finished()
        assert 10.0 < world.now < 11.0
        assert world.planner.sources[0].concurrency.connections == 2


def test_a_source_keeps_a_connection_where_one_is_given_up_while_another_is_tried() -> None:
    climb = HillClimb()
    climb.begin(0.0, 0.1, long_path=False)
    now = 0.0
    while climb.connections == 1 and now < 60:
        now += 0.1
        climb.received += 100_000
        if climb.over(now, 0.1):
            climb.judge(now, 0.1, 8, 0.1, more=True)
    assert climb.connections == 2
    climb.give_one_up(now)
    climb.judge(now + 5.0, 0.1, 8, 0.1, more=True)
    assert climb.connections == 1
