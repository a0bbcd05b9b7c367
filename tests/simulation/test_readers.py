"""Readers of one file: none starves, little comes in vain, and what stands still costs nothing."""

from __future__ import annotations

import pytest

from tests.simulation.readers import (
    KINDS,
    LEAST_SHARE,
    MIB,
    MOST_IN_VAIN,
    main,
    measured,
    reading,
)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("readers", "sources"), [(10, 4), (40, 8)])
def test_every_reader_gets_its_share(readers: int, sources: int, kind: str) -> None:
    world = reading(readers, sources, seed=1, pieces=600 // readers, **KINDS[kind])
    result = measured(world)
    assert result.least >= LEAST_SHARE
    assert result.in_vain <= MOST_IN_VAIN


@pytest.mark.parametrize("readers", [1, 10])
def test_slow_sources_beside_many_that_are_idle_bring_little_in_vain(readers: int) -> None:
    world = reading(readers, 32, rand=readers == 1, slow=True, pieces=3000 if readers == 1 else 200)
    assert measured(world).in_vain <= 0.015 / readers  # 3.0 % and 0.3 % if all are asked alike


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sources", [4, 32])
@pytest.mark.parametrize("readers", [10, 100, 1000])
def test_every_reader_gets_its_share_over_many_seeds(readers: int, sources: int, kind: str) -> None:
    for seed in range(50 if readers < 1000 else 3):
        result = measured(reading(readers, sources, seed=seed, **KINDS[kind]))
        assert result.least >= LEAST_SHARE, seed
        assert result.in_vain <= MOST_IN_VAIN, seed


def test_readers_that_stand_still_cost_the_others_nothing() -> None:
    world = reading(20, 4, seed=3, pieces=100, stalled=10, rand=True)
    result = measured(world)
    assert result.used >= 0.97
    moving = [r.at for r in world.readers.values() if r.stalls_after > r.at]
    still = [r for r in world.readers.values() if r.stalls_after <= r.at]
    assert len(moving) == len(still) == 10
    # Their windows are fetched once, and never again.
    windows = sum(r.at + r.urgent + r.ahead for r in still)
    fair = (world.useful / MIB - windows) / len(moving)
    assert min(moving) >= 0.9 * fair


def test_the_measurement_prints_what_a_decision_costs(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--readers", "50", "--sources", "2", "--pieces", "8"])
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2 + len(KINDS)
    assert shown[2].startswith("| 50 | 2 | sequential |")
