"""Readers of one file: none starves, little comes in vain, and what stands still costs nothing."""

from __future__ import annotations

import pytest

from tests.simulation.readers import KINDS, LEAST_SHARE, MOST_IN_VAIN, measured, reading


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("readers", "sources"), [(10, 4), (100, 32)])
def test_every_reader_gets_its_share(readers: int, sources: int, kind: str) -> None:
    world = reading(readers, sources, seed=1, pieces=20, check_every=499, **KINDS[kind])
    result = measured(world)
    assert result.least >= LEAST_SHARE
    assert result.in_vain <= MOST_IN_VAIN
