"""Readers of one file: none starves, little comes in vain, and what stands still costs nothing."""

from __future__ import annotations

import pytest

from tests.simulation.readers import (
    KINDS,
    LEAST_SHARE,
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
    alone = reading(10, 4, seed=3, pieces=40)
    measured(alone)
    stalled = reading(20, 4, seed=3, pieces=40, stalled=10)
    stalled.seconds = alone.seconds
    measured(stalled)
    moving = [r.at for r in stalled.readers.values() if r.stalls_after > r.at]
    # Their windows are fetched once, and never again.
    first = sum(r.urgent + r.ahead for r in stalled.readers.values())
    assert sum(moving) >= 2 * sum(r.at for r in alone.readers.values()) * 0.97 - first


def test_the_measurement_prints_what_a_decision_costs(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--readers", "2", "--sources", "2"])
    shown = capsys.readouterr().out.splitlines()
    assert len(shown) == 2 + len(KINDS)
    assert shown[2].startswith("| 2 | 2 | sequential |")
