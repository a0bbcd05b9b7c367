"""Thousands of sources, most of them dead: what they cost is counted."""

from __future__ import annotations

import pytest

from regather.planner import Finished, GiveUp, Options
from tests.simulation.world import Model, World, layout_of

MIB = 1 << 20


def world_of(dead: int, kind: str, **options: int) -> World:
    models = {
        "refuses": Model(dies_at=0.0),
        "says nothing": Model(freezes_at=0.0),
        "has nothing": Model(really_holds=frozenset()),
        "lies": Model(corrupt_rate=1.0),
    }
    world = World(layout_of([1000]), [models[kind]] * dead, Options(**options))
    world.check_every = 0
    return world


@pytest.mark.long
@pytest.mark.parametrize("kind", ["refuses", "says nothing", "has nothing", "lies"])
def test_however_many_are_named_some_thousand_requests_are_enough(kind: str) -> None:
    world = world_of(1100, kind, retries=3)
    assert isinstance(world.run(), GiveUp)
    assert sum(link.requests for link in world._run.links) < 4000
    assert world.now < 3600


def test_one_that_is_alive_is_found_among_the_first_thousand() -> None:
    world = world_of(990, "refuses", retries=0)
    world.models[980] = Model()
    assert world.run() == Finished()


def test_dead_sources_do_not_take_the_hope_in_those_that_brought_something() -> None:
    world = world_of(3000, "refuses")
    world.layout = layout_of([8 * MIB])
    world.models[1] = Model(dies_at=0.1, returns_at=3.0)
    assert world.run() == Finished()
