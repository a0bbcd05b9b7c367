"""Whatever sources do: every run ends, as it should, and the planner's books agree meanwhile."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from regather.planner import Finished, Options
from tests.simulation import hunt
from tests.simulation.random_worlds import judge, random_selection, random_world
from tests.simulation.world import Model, World, layout_of

MIB = 1 << 20


@pytest.mark.long
@settings(max_examples=300, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_every_run_ends_and_keeps_its_books(seed: int) -> None:
    world = random_world(seed)
    judge(world, world.run())


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_selection_ends_and_keeps_its_books(seed: int) -> None:
    world = random_selection(seed)
    judge(world, world.run())


@pytest.mark.parametrize(
    "seed",
    [
        17,  # a fragment that no source was said to have was not computed
        38,  # pieces that were wanted for their row alone were reported missing
        666,  # parity in place was enough with what nobody wanted of the row
    ],
)
def test_selections_that_ended_wrongly(seed: int) -> None:
    world = random_selection(seed)
    judge(world, world.run())


@pytest.mark.parametrize(
    "seed",
    [
        1004736,  # a fragment of which all had come was asked for in whole, again and again
        1011378,
        8164,  # parity that had come was asked for once more
        8338,
        7202781,  # a fragment that another answer had brought was asked for in whole
        7221696,  # the same with parity
        14262849,  # a source came to have no connection at all
    ],
)
def test_what_was_found_once_is_not_found_again(seed: int) -> None:
    world = random_world(seed)
    judge(world, world.run())


def test_the_hunt_tells_which_world_does_not_end(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hunt.main(["--count", "2"]) == 0
    assert "2 worlds from seed 0 on: 0 found" in capsys.readouterr().out

    def forget(seed: int) -> World:
        world = World(layout_of([MIB]), [Model(stall_rate=1.0)], seed=seed)
        world.deadline = 1.0
        return world

    monkeypatch.setattr(hunt, "random_world", forget)
    assert hunt.main(["--first-seed", "7", "--count", "2"]) == 1
    assert "seed 7: Stuck: no end after" in capsys.readouterr().out


def test_a_set_that_cannot_be_had_beside_whole_answers_of_parity_is_given_up() -> None:
    """What passes over parity that is in place gives back the piece that it was to stand in for."""
    layout = layout_of([1000, 1000, 7 * MIB // 2], parity=2, set_size=3)
    for seed in range(10):
        gone = Model(holds=frozenset(range(5)), dies_at=0.0)
        fails = Model(really_holds=frozenset({1}), dies_at=0.0, returns_at=2.0, fail_rate=0.5)
        whole = Model(20e6, 0.01, frozenset({1, 4}), dies_at=0.2, returns_at=2.0)
        whole.ignores_ranges = True
        models = [gone, fails, whole]
        world = World(layout, models, Options(connections=2, retries=4), seed=seed)
        assert world.run() != Finished()
