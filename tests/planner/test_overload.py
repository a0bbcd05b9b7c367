"""A slow source is not asked for more at a time than it can bring in time."""

from __future__ import annotations

from regather.planner import Finished, Options
from tests.simulation.world import Model, World, layout_of

MIB = 1 << 20
LONG = 0.16
"""One way, in seconds: so long that a source is begun with on many connections."""


def test_a_slow_source_on_a_long_path_brings_whole_pieces() -> None:
    models = [Model(bandwidth=12e6), Model(bandwidth=300e3, latency=LONG)]
    world = World(layout_of([64 * MIB] * 2), models)
    assert world.run() == Finished()
    assert world.planner.sources[1].pieces >= 1
    assert world.received <= world.layout.size + 1.5 * MIB


def test_nothing_is_given_up_where_nobody_else_has_it() -> None:
    holds = [frozenset({0}), frozenset({1})]
    models = [Model(bandwidth=12e6), Model(bandwidth=300e3, latency=LONG)]
    for model, held in zip(models, holds, strict=True):
        model.holds = held
    world = World(layout_of([64 * MIB, 16 * MIB]), models)
    assert world.run() == Finished()
    assert world.received <= world.layout.size * 1.001
    assert world.planner.sources[1].concurrency.connections > 1


def test_a_fast_source_on_a_long_path_keeps_its_connections() -> None:
    models = [Model(bandwidth=12e6), Model(bandwidth=12e6, latency=LONG)]
    world = World(layout_of([64 * MIB] * 2), models, Options(connections=8))
    assert world.run() == Finished()
    assert world.planner.sources[1].concurrency.connections > 1
    assert world.received <= world.layout.size + 3 * MIB
