"""The size of the demo's file, where nobody gives one."""

from __future__ import annotations

import pytest

from regather.demo import size_for, space_for

GB = 10**9


@pytest.mark.parametrize(
    ("free", "size"),
    [(100 * GB, 500_000_000), (3 * GB, 200_000_000), (GB // 2, 50_000_000), (0, 50_000_000)],
)
def test_the_file_suits_the_free_space(free: int, size: int) -> None:
    assert size_for(free) == size


def test_half_of_the_free_space_stays_free() -> None:
    for free in range(GB // 2, 8 * GB, GB // 10):
        assert 2 * space_for(size_for(free)) <= free
