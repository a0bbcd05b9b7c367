"""How many failures a set survives, held against trying them all."""

from __future__ import annotations

import itertools
import random

import pytest

from regather.upkeep.survival import Survival, survival


def brute(needed: int, holders: list[frozenset[int]]) -> tuple[int, int]:
    """Try every loss of copies and of sources."""
    copies = [(i, s) for i, h in enumerate(holders) for s in h]
    sources = sorted(frozenset[int]().union(*holders))

    def left(gone_copies: set[tuple[int, int]], gone: set[int]) -> int:
        return sum(
            any((i, s) not in gone_copies and s not in gone for s in h)
            for i, h in enumerate(holders)
        )

    if left(set(), set()) < needed:
        return -1, -1
    most_copies = next(
        (
            n - 1
            for n in range(1, len(copies) + 1)
            if any(left(set(c), set()) < needed for c in itertools.combinations(copies, n))
        ),
        len(copies),
    )
    most_sources = next(
        (
            n - 1
            for n in range(1, len(sources) + 1)
            if any(left(set(), set(c)) < needed for c in itertools.combinations(sources, n))
        ),
        len(sources),
    )
    return most_copies, most_sources


@pytest.mark.parametrize("seed", range(60))
def test_it_is_exact_for_small_sets(seed: int) -> None:
    rng = random.Random(seed)
    count = rng.randint(1, 5)
    holders = [
        frozenset(rng.sample(range(4), rng.choice([0, 1, 1, 2, 2, 3]))) for _ in range(count)
    ]
    needed = rng.randint(0, count)
    found = survival(needed, holders)
    assert found.exact
    assert (found.fragments, found.sources) == brute(needed, holders)


def test_known_shapes() -> None:
    six = [frozenset((n,)) for n in range(6)]
    assert survival(4, six) == Survival(2, 2, True)
    assert survival(4, six[:4]) == Survival(0, 0, True)
    assert survival(4, six[:3]) == Survival(-1, -1, True)
    one = [frozenset((0,))] * 6
    assert survival(4, one) == Survival(2, 0, True)
    twice = [frozenset((n, (n + 1) % 3)) for n in range(3)]
    assert survival(3, twice) == Survival(1, 1, True)


def test_large_sets_get_a_safe_bound_soon() -> None:
    rng = random.Random(7)
    holders = [frozenset(rng.sample(range(100), 3)) for _ in range(250)]
    found = survival(200, holders)
    assert not found.exact
    assert found.fragments == 51 * 3 - 1
    # 153 copies must go, and no source holds more than the largest ones together do.
    load = sorted((sum(s in h for h in holders) for s in range(100)), reverse=True)
    assert sum(load[: found.sources]) < 153
    assert found.sources >= 8
