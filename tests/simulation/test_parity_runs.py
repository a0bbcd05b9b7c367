"""The real planner with erasure sets in virtual time: any k of n are enough, and cost little."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regather.planner import Finished, GiveUp, Options
from tests.simulation.world import Model, World, layout_of

MIB = 1 << 20


def wanted(world: World) -> set[tuple[int, int]]:
    layout = world.layout
    return {(f, p) for f in range(layout.data_count) for p in range(layout.pieces_of(f))}


def one_each(world_size: int, known: bool) -> list[Model]:
    holds = [frozenset({n}) for n in range(world_size)]
    if known:
        return [Model(holds=h) for h in holds]
    return [Model(really_holds=h) for h in holds]


def spread(k: int, m: int, *, known: bool = True, pieces: int = 30) -> World:
    layout = layout_of([pieces * MIB] * k, parity=m)
    return World(layout, one_each(k + m, known))


@pytest.mark.parametrize("known", [True, False])
def test_nothing_is_decoded_while_all_data_is_there(known: bool) -> None:
    world = spread(4, 2, known=known)
    assert world.run() == Finished()
    assert not world.decodes
    assert world.received <= world.layout.size + 2 * MIB


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("lost", [s for n in range(3) for s in itertools.combinations(range(6), n)])
def test_any_two_of_six_may_be_gone(lost: tuple[int, ...], known: bool) -> None:
    world = spread(4, 2, known=known)
    for source in lost:
        world.models[source].dies_at = 0.0
    assert world.run() == Finished()
    assert wanted(world) <= world.done
    rows = [d.row for d in world.decodes]
    assert len(rows) == len(set(rows)), "a row was computed twice"
    assert world.received <= 1.1 * world.layout.size


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("lost", list(itertools.combinations(range(6), 3)))
def test_three_of_six_are_too_many_and_are_named(lost: tuple[int, ...], known: bool) -> None:
    world = spread(4, 2, known=known, pieces=5)
    for source in lost:
        world.models[source].dies_at = 0.0
    ending = world.run()
    if all(n >= 4 for n in lost[1:]) and known:
        assert ending == GiveUp(lost, corrupt=False)
    assert isinstance(ending, GiveUp)
    assert set(ending.fragments) <= set(lost)
    assert {n for n in lost if n < 4} <= set(ending.fragments)


@pytest.mark.parametrize("moment", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("lost", list(itertools.combinations(range(6), 2)))
def test_two_die_in_the_middle(lost: tuple[int, ...], moment: float) -> None:
    world = spread(4, 2)
    for source in lost:
        world.models[source].dies_at = moment * 30 * MIB / 50e6
    assert world.run() == Finished()
    assert wanted(world) <= world.done
    assert world.received <= 1.1 * world.layout.size


def test_a_crawling_source_is_replaced_by_parity() -> None:
    world = spread(4, 2)
    world.models[2].bandwidth = 0.5e6
    assert world.run() == Finished()
    # Alone it would need 60 s; the others are through in 0.63 s, and a parity source with it.
    assert world.now < 3.0
    assert world.received <= 1.1 * world.layout.size


def test_a_stalling_source_is_replaced_by_parity() -> None:
    world = spread(4, 2)
    world.models[1].stall_rate = 1.0
    assert world.run() == Finished()
    assert world.now < 5.0


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("lost", list(itertools.combinations(range(6), 2)))
def test_two_freeze_in_the_middle(lost: tuple[int, ...], known: bool) -> None:
    world = spread(4, 2, known=known)
    for source in lost:
        world.models[source].freezes_at = 0.3
    assert world.run() == Finished()
    # The time-out is 15 s: nobody waits for it where parity is there.
    assert world.now < 5.0


def test_a_liar_is_replaced_by_parity() -> None:
    world = spread(4, 2)
    world.models[1].corrupt_rate = 1.0
    assert world.run() == Finished()
    assert world.corrupt_seen[1] <= 3
    assert world.now < 3.0


@pytest.mark.parametrize("lost", list(itertools.combinations(range(6), 2)))
def test_two_die_beside_a_liar(lost: tuple[int, ...]) -> None:
    # Parity that was taken for a piece of the liar is needed for one of the dead: then the liar
    # is asked again, at once, and nobody waits until the dead are given up.
    # Each liar at one moment, and each pair of dead at all.
    moments = itertools.cycle((0.2, 0.5, 0.8))
    for liar, moment in zip(sorted(set(range(6)) - {*lost}), moments, strict=False):
        world = spread(4, 2)
        world.models[liar].corrupt_rate = 0.1
        for source in lost:
            world.models[source].dies_at = moment * 30 * MIB / 50e6
        assert world.run() == Finished()
        assert wanted(world) <= world.done
        assert world.now < 3.0, (liar, moment)
        rows = [d.row for d in world.decodes]
        assert len(rows) <= len(set(rows)) + 1, "rows were computed twice"
        assert world.received <= (1.1 * world.layout.size + sum(world.corrupt_seen) * MIB)


def test_parity_that_is_no_good_is_not_used_for_ever() -> None:
    world = spread(4, 1)
    world.models[1].dies_at, world.models[1].returns_at = 0.0, 1.0
    world.bad_rows = {(0, 3), (0, 7)}
    assert world.run() == Finished()
    assert wanted(world) <= world.done


def test_parity_taken_for_a_slow_source_serves_for_one_that_dies() -> None:
    world = spread(3, 1)
    world.models[0].bandwidth = 1e6
    world.models[2].dies_at = 0.55
    assert world.run() == Finished()
    assert wanted(world) <= world.done


MODELS = st.builds(
    Model,
    bandwidth=st.sampled_from([1e5, 1e6, 2e7, 1e8]),
    latency=st.sampled_from([0.0005, 0.01, 0.3]),
    dies_at=st.sampled_from([float("inf"), 0.0, 0.2, 1.0, 5.0]),
    returns_at=st.sampled_from([float("inf"), 2.0, 30.0]),
    fail_rate=st.sampled_from([0.0, 0.0, 0.1, 0.5]),
    corrupt_rate=st.sampled_from([0.0, 0.0, 0.02, 1.0]),
    stall_rate=st.sampled_from([0.0, 0.0, 0.05]),
    ignores_ranges=st.booleans(),
)


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_run_ends(data: st.DataObject) -> None:
    k = data.draw(st.integers(1, 6), "k")
    m = data.draw(st.integers(0, 3), "m")
    sizes = data.draw(st.lists(st.integers(1, 6 * MIB), min_size=k, max_size=k), "sizes")
    set_size = data.draw(st.integers(1, k), "set size")
    layout = layout_of(sizes, parity=m, set_size=set_size)
    count = data.draw(st.integers(1, 6), "sources")
    held = st.frozensets(st.integers(0, len(layout.fragments) - 1))
    models = []
    for n in range(count):
        model = data.draw(MODELS, f"model {n}")
        really = data.draw(held, f"held {n}")
        if data.draw(st.booleans(), f"known {n}"):
            model.holds = really
        else:
            model.really_holds = really
        models.append(model)
    options = Options(
        connections=data.draw(st.integers(1, 4)), retries=data.draw(st.integers(0, 5))
    )
    world = World(layout, models, options, seed=data.draw(st.integers(0, 99)))
    ending = world.run()
    if ending == Finished():
        assert wanted(world) <= world.done
    else:
        assert isinstance(ending, GiveUp)
        missing = {f for f, _ in wanted(world) - world.done}
        assert missing == {f for f in ending.fragments if layout.is_data(f)}
        good = [
            n
            for n, model in enumerate(models)
            if model.dies_at == float("inf")
            and not (model.fail_rate or model.corrupt_rate or model.stall_rate)
        ]
        for number, members in enumerate(layout.sets):
            if not members.parity or not missing & set(members.data):
                continue
            there = {
                f
                for f in (*members.data, *members.parity)
                if any(f in (models[n].holds or models[n].really_holds or ()) for n in good)
            }
            assert len(there) < len(members.data), f"set {number} could have been decoded"


@pytest.mark.parametrize("lost", list(itertools.combinations(range(6), 2)))
def test_two_freeze_beside_a_liar(lost: tuple[int, ...]) -> None:
    # Nobody is told that they are gone: the time-outs are 15 s for an answer and 5 s for a new
    # connection. Who says nothing is not relied upon, so the liar is asked before they pass.
    for liar in sorted(set(range(6)) - {*lost}):
        world = spread(4, 2, known=liar % 2 == 0)
        world.models[liar].corrupt_rate = 0.1
        for source in lost:
            world.models[source].freezes_at = 0.3
        assert world.run() == Finished()
        assert wanted(world) <= world.done
        assert world.now < 12.0, liar


def test_parity_leaves_no_row_to_slow_data_alone() -> None:
    """All parity that fast sources hold is of use: no row may be full before they come to it."""
    layout = layout_of([200 * MIB] * 4, parity=2)
    rates = [5e6, 10e6, 40e6, 40e6, 40e6, 20e6]
    models = [Model(bandwidth=r, holds=frozenset({n})) for n, r in enumerate(rates)]
    world = World(layout, models)
    assert world.run() == Finished()
    # The least T in which all bring four fragments: those of 40 MB/s end with their own at 5.2 s,
    # the others bring the fourth together at 35 MB/s.
    assert world.now < 1.06 * 200 * MIB / 35e6
