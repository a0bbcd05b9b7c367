"""Sources that ignore ranges: a slow one holds up nobody, and a fast one helps where it can."""

from __future__ import annotations

import pytest

from regather.planner import Finished
from tests.simulation.world import Model, World, layout_of

MIB = 1 << 20


def slow(**more: object) -> Model:
    """A source of 4 kB/s that ignores ranges."""
    model = Model(bandwidth=4e3, ignores_ranges=True)
    for name, value in more.items():
        setattr(model, name, value)
    return model


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("pieces", [1, 3, 40])
def test_a_slow_whole_answer_holds_up_nobody(count: int, pieces: int) -> None:
    world = World(layout_of([pieces * MIB]), [*(slow() for _ in range(count)), Model()])
    assert world.run() == Finished()
    assert world.now < 8.0
    assert world.received <= world.layout.size + 3 * MIB


def test_who_was_never_asked_helps_one_that_is_slow() -> None:
    world = World(layout_of([MIB]), [Model(bandwidth=4e3), Model()])
    assert world.run() == Finished()
    assert world.now < 8.0


def test_a_slow_whole_answer_of_one_fragment_beside_others() -> None:
    world = World(layout_of([7 * MIB] * 5), [slow(), Model(), Model()])
    assert world.run() == Finished()
    assert world.now < 8.0


def test_all_who_are_idle_help_a_whole_answer() -> None:
    helpers = [Model(bandwidth=5e6) for _ in range(4)]
    world = World(layout_of([64 * MIB]), [slow(), *helpers])
    assert world.run() == Finished()
    assert world.now < 1.25 * 64 * MIB / 20e6 + 1.0
    assert world.received <= world.layout.size + 8 * MIB


def test_nothing_is_brought_twice_where_a_whole_answer_is_as_fast() -> None:
    models = [Model(bandwidth=5e6, ignores_ranges=True), Model(bandwidth=5e6)]
    world = World(layout_of([64 * MIB]), models)
    assert world.run() == Finished()
    assert world.now < 1.1 * 64 * MIB / 10e6 + 0.5
    assert world.received <= world.layout.size + 4 * MIB


def test_one_that_ignores_ranges_brings_once_more_what_another_such_is_slow_at() -> None:
    world = World(layout_of([5 * MIB]), [slow(), Model(ignores_ranges=True, latency=0.2)])
    assert world.run() == Finished()
    assert world.now < 10.0
    assert world.received <= 2.2 * world.layout.size


def test_one_that_ignores_ranges_brings_the_last_piece_of_a_slow_source() -> None:
    holds = [frozenset({0}), frozenset({0, 1})]
    models = [Model(bandwidth=4e3), Model(ignores_ranges=True)]
    for model, held in zip(models, holds, strict=True):
        model.holds = held
    world = World(layout_of([MIB, 4 * MIB]), models)
    assert world.run() == Finished()
    assert world.now < 10.0


def test_whole_answers_of_equal_sources_are_not_repeated() -> None:
    models = [Model(bandwidth=2e6, ignores_ranges=True) for _ in range(3)]
    world = World(layout_of([12 * MIB] * 3), models)
    assert world.run() == Finished()
    assert world.received <= world.layout.size + 6 * MIB


@pytest.mark.parametrize("whole", [True, False])
def test_slow_parity_holds_up_nobody(whole: bool) -> None:
    parity = frozenset({2})
    models = [Model(holds=frozenset({0})), slow(holds=parity), Model(holds=parity)]
    models[1].ignores_ranges = whole
    world = World(layout_of([6 * MIB] * 2, parity=1), models)
    assert world.run() == Finished()
    assert world.now < 8.0
