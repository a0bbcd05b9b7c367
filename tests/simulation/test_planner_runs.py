"""The real planner in virtual time: every run ends, and ends well."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regather.planner import Finished, GiveUp, Options
from tests.simulation.world import Model, World, layout_of

MIB = 1 << 20


def everything(world: World) -> set[tuple[int, int]]:
    layout = world.layout
    return {(f, p) for f in range(len(layout.fragments)) for p in range(layout.pieces_of(f))}


def ring(servers: int, replicas: int) -> list[frozenset[int]]:
    return [
        frozenset(f for f in range(servers) if (s - f) % servers < replicas) for s in range(servers)
    ]


def test_three_equal_sources_share_the_work() -> None:
    world = World(layout_of([64 * MIB] * 3), [Model(holds=h) for h in ring(3, 2)])
    assert world.run() == Finished()
    assert world.done == everything(world)
    assert world.now < 1.05 * 192 * MIB / 150e6 + 0.1
    assert max(world.received_by) < 1.15 * min(world.received_by)
    assert world.received <= world.layout.size + 2 * MIB


@pytest.mark.parametrize("death", [0.0, 0.1, 0.5, 1.0, 1.2])
def test_one_dies_and_costs_little_over_the_ideal(death: float) -> None:
    models = [Model(holds=h) for h in ring(3, 2)]
    models[1].dies_at = death
    world = World(layout_of([64 * MIB] * 3), models)
    assert world.run() == Finished()
    left = 192 * MIB - 150e6 * death
    assert world.now < 1.1 * (death + left / 100e6) + 0.15


def test_a_source_at_one_percent_costs_little() -> None:
    fast = [Model(holds=h) for h in ring(3, 2)]
    whole = World(layout_of([64 * MIB] * 3), fast)
    whole.run()
    slow = [Model(holds=h) for h in ring(3, 2)]
    slow[0].bandwidth /= 100
    world = World(layout_of([64 * MIB] * 3), slow)
    assert world.run() == Finished()
    assert world.now < 1.1 * 192 * MIB / 100.5e6 + 0.1
    assert world.received < world.layout.size * 1.03


def test_a_long_path_is_filled_beside_a_short_one() -> None:
    models = [Model(latency=0.1), Model(latency=0.0005)]
    world = World(layout_of([128 * MIB] * 2), models)
    assert world.run() == Finished()
    assert world.now < 1.2 * 256 * MIB / 100e6


def test_everything_is_on_one_source_that_is_not_known_to_hold_it() -> None:
    models = [Model(really_holds=frozenset()), Model(really_holds=frozenset({0, 1}))]
    world = World(layout_of([8 * MIB] * 2), models)
    assert world.run() == Finished()
    assert world.received_by[0] == 0


def test_what_no_source_has_is_named_and_the_rest_is_fetched() -> None:
    models = [Model(holds=frozenset({0})), Model(holds=frozenset({1}), dies_at=0.05)]
    world = World(layout_of([32 * MIB] * 2), models)
    assert world.run() == GiveUp((1,), corrupt=False)
    assert {f for f, _ in world.done} == {0, 1}
    assert sum(1 for f, _ in world.done if f == 0) == 32


def test_a_source_that_returns_is_used_again() -> None:
    models = [Model(holds=frozenset({0}), dies_at=0.2, returns_at=2.0)]
    world = World(layout_of([32 * MIB]), models)
    assert world.run() == Finished()
    assert 2.0 < world.now < 10.0


def test_a_lying_source_is_asked_for_few_pieces_only() -> None:
    models = [Model(corrupt_rate=1.0), Model()]
    world = World(layout_of([64 * MIB]), models)
    assert world.run() == Finished()
    assert world.corrupt_seen[0] <= 4  # two, and what was in flight when it was found out
    assert world.planner.sources[0].distrusted


def test_a_lying_source_is_the_last_resort() -> None:
    """Its good pieces are as good as any: with nobody else, the file is still had whole."""
    models = [Model(corrupt_rate=0.3), Model(dies_at=0.3)]
    world = World(layout_of([64 * MIB]), models)
    assert world.run() == Finished()
    assert world.corrupt_seen[0] > 2


def test_only_lies_end_with_the_reason() -> None:
    world = World(layout_of([8 * MIB]), [Model(corrupt_rate=1.0)])
    assert world.run() == GiveUp((0,), corrupt=True)


def test_a_source_without_ranges_is_used_whole() -> None:
    world = World(layout_of([16 * MIB] * 2), [Model(ignores_ranges=True), Model()])
    assert world.run() == Finished()
    assert world.done == everything(world)


def test_a_source_without_ranges_alone() -> None:
    world = World(layout_of([16 * MIB] * 3), [Model(ignores_ranges=True)])
    assert world.run() == Finished()
    assert world.received <= world.layout.size + 4 * 4 * MIB


def test_a_source_without_ranges_that_always_lies_in_the_middle_is_given_up() -> None:
    """It sends the first pieces again each time: that must not count as getting on."""
    world = World(layout_of([4 * MIB]), [Model(ignores_ranges=True)])
    world.corrupt_pieces = {(0, 2)}
    assert world.run() == GiveUp((0,), corrupt=True)
    assert world.corrupt_seen[0] <= 10


def test_all_stall_and_the_run_still_ends() -> None:
    world = World(layout_of([4 * MIB]), [Model(stall_rate=1.0)])
    assert isinstance(world.run(), GiveUp)


@pytest.mark.long
def test_a_thousand_sources() -> None:
    models = [Model(bandwidth=1e6 * (1 + s % 7)) for s in range(1000)]
    world = World(layout_of([256 * MIB]), models, Options(max_requests=64))
    assert world.run() == Finished()


def test_no_pieces_at_all() -> None:
    assert World(layout_of([0]), [Model()]).run() == Finished()


MODELS = st.builds(
    Model,
    bandwidth=st.sampled_from([1e5, 1e6, 20e6, 500e6]),
    latency=st.sampled_from([0.0001, 0.02, 0.3]),
    holds=st.none(),
    really_holds=st.frozensets(st.integers(0, 3), min_size=1),
    dies_at=st.sampled_from([0.0, 0.3, 2.0, float("inf")]),
    returns_at=st.sampled_from([1.0, 5.0, float("inf")]),
    fail_rate=st.sampled_from([0.0, 0.2, 1.0]),
    corrupt_rate=st.sampled_from([0.0, 0.1, 1.0]),
    stall_rate=st.sampled_from([0.0, 0.2]),
    ignores_ranges=st.booleans(),
)


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 12 * MIB), min_size=1, max_size=4),
    models=st.lists(MODELS, min_size=1, max_size=5),
    connections=st.integers(1, 6),
    max_requests=st.integers(1, 12),
    seed=st.integers(0, 2**20),
)
def test_every_run_ends_and_keeps_its_promises(
    sizes: list[int], models: list[Model], connections: int, max_requests: int, seed: int
) -> None:
    """The world asserts: no hang, no request after the end, no source over its limit."""
    options = Options(connections=connections, max_requests=max_requests)
    world = World(layout_of(sizes), models, options, seed)
    ending = world.run()
    missing = everything(world) - world.done
    if isinstance(ending, Finished):
        assert not missing
    else:
        assert {f for f, _ in missing} == set(ending.fragments)
        healthy = [
            m
            for m in models
            if m.fail_rate == m.corrupt_rate == m.stall_rate == 0 and m.dies_at == float("inf")
        ]
        for fragment in ending.fragments:
            assert not any(fragment in (m.really_holds or ()) for m in healthy)
    assert world.planner.pieces_left == len(missing)


def test_a_source_that_always_fails_does_not_cut_a_whole_fragment_short() -> None:
    slow = Model(bandwidth=1e5, latency=0.02, corrupt_rate=0.1, ignores_ranges=True)
    failing = [Model(bandwidth=1e5, fail_rate=1.0), Model(bandwidth=1e5, fail_rate=1.0)]
    world = World(layout_of([5 * MIB + 100]), [slow, *failing], seed=13214)
    assert world.run() == Finished()
    assert world.now < 300


@settings(max_examples=100, deadline=None)
@given(
    count=st.integers(1, 4),
    bandwidths=st.lists(st.sampled_from([5e5, 5e6, 50e6]), min_size=2, max_size=5),
    seed=st.integers(0, 2**20),
)
def test_little_is_fetched_in_vain(count: int, bandwidths: list[float], seed: int) -> None:
    """Without failures only hedges are in vain: at most a few pieces a source."""
    models = [Model(bandwidth=b) for b in bandwidths]
    world = World(layout_of([24 * MIB] * count), models, seed=seed)
    assert world.run() == Finished()
    in_vain = world.received - world.layout.size
    assert in_vain <= len(models) * 4 * MIB
    assert in_vain <= 0.12 * world.layout.size + 4 * MIB


@pytest.mark.parametrize("ranges", [True, False])
def test_two_that_never_send_a_byte_are_given_up(ranges: bool) -> None:
    # Their time-outs come in turn: there is always one of them that is being asked.
    models = [Model(stall_rate=1.0, ignores_ranges=not ranges) for _ in range(2)]
    models[1].latency = 3.0
    world = World(layout_of([8 * MIB]), models)
    assert world.run() == GiveUp((0,), corrupt=False)
    assert world.now < 400
