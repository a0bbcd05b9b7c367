"""Survivable failures and matchings, against brute force."""

from __future__ import annotations

import itertools
import random
from itertools import combinations, permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regather.coding.placement import spread
from regather.coding.survival import (
    Survival,
    copies_survived,
    happiness,
    matching,
    set_survival,
    shared,
    survival,
)
from regather.splitter.geometry import fragment_sizes, layout_of

PLACES = 6
HELD = st.lists(st.frozensets(st.integers(0, PLACES - 1), max_size=3), min_size=1, max_size=6)


def survives(holders: list[frozenset[int]], k: int, lost: frozenset[int]) -> bool:
    return sum(bool(h - lost) for h in holders) >= k


def brute_survival(holders: list[frozenset[int]], k: int) -> int:
    for count in range(PLACES + 1):
        if not all(survives(holders, k, frozenset(c)) for c in combinations(range(PLACES), count)):
            return count - 1
    raise AssertionError("everything lost, and k fragments left")


def brute_matching(edges: dict[int, frozenset[int]]) -> int:
    lefts = list(edges)
    best = 0
    for chosen in permutations([*range(PLACES), *[-1] * len(lefts)], len(lefts)):
        pairs = sum(r in edges[n] for n, r in zip(lefts, chosen, strict=True))
        best = max(best, pairs)
    return best


@given(HELD, st.data())
def test_survival_of_a_set_is_exact(holders: list[frozenset[int]], data: st.DataObject) -> None:
    k = data.draw(st.integers(1, len(holders)))
    assert set_survival(holders, k) == Survival(brute_survival(holders, k))
    assert happiness(holders) - k <= brute_survival(holders, k) or happiness(holders) < k


@given(st.dictionaries(st.integers(0, 3), st.frozensets(st.integers(0, 3)), max_size=3))
def test_matchings_are_maximum(edges: dict[int, frozenset[int]]) -> None:
    found = matching(edges)
    assert all(right in edges[left] for left, right in found.items())
    assert len(set(found.values())) == len(found)
    assert len(found) == brute_matching(edges)


def test_long_augmenting_paths() -> None:
    count = 3000
    edges = {n: [n, n + 1] for n in range(count)} | {count: [0]}
    assert len(matching(edges)) == count + 1


@given(st.integers(1, 8), st.integers(1, 3), st.integers(1, 12), st.integers(0, 4))
def test_what_spread_promises(data: int, parity: int, places: int, set_size: int) -> None:
    layout = layout_of(10**6, fragment_sizes(10**6, data, None), parity, set_size)
    width = max(len(s.data) + len(s.parity) for s in layout.sets)
    copies = spread(layout, places, 1)
    if places >= width:
        assert not shared(layout, copies)
        assert survival(layout, copies) == Survival(parity)
    else:
        assert shared(layout, copies)
        assert survival(layout, copies).failures <= parity


@given(st.integers(1, 9), st.integers(1, 4), st.integers(0, 5))
def test_replicas(data: int, replicas: int, more: int) -> None:
    layout = layout_of(10**6, fragment_sizes(10**6, data, None))
    assert survival(layout, spread(layout, replicas + more, replicas)).failures == replicas - 1


def test_too_many_to_count_is_a_lower_bound() -> None:
    layout = layout_of(10**6, fragment_sizes(10**6, 30, None), 10)
    found = survival(layout, spread(layout, 40, 2))
    assert not found.exact
    assert 10 <= found.failures <= 21


def test_nothing_held() -> None:
    layout = layout_of(10**6, fragment_sizes(10**6, 4, None), 2)
    assert survival(layout, [()] * 6) == Survival(-1)
    assert survival(layout, [(0,), (1,), (2,), (3,), (), ()]) == Survival(0)
    assert survival(layout, [(0,), (1,), (2,), (), (), ()]) == Survival(-1)


def both(needed: int, holders: list[frozenset[int]]) -> tuple[int, int, bool]:
    """Copies and places that may go, and whether the latter is exact."""
    found = set_survival(holders, needed)
    return copies_survived(holders, needed), found.failures, found.exact


def brute_both(needed: int, holders: list[frozenset[int]]) -> tuple[int, int]:
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
def test_copies_and_places_are_exact_for_small_sets(seed: int) -> None:
    rng = random.Random(seed)
    count = rng.randint(1, 5)
    holders = [
        frozenset(rng.sample(range(4), rng.choice([0, 1, 1, 2, 2, 3]))) for _ in range(count)
    ]
    needed = rng.randint(0, count)
    copies, places, exact = both(needed, holders)
    assert exact
    assert (copies, places) == brute_both(needed, holders)


def test_known_shapes_of_copies() -> None:
    six = [frozenset((n,)) for n in range(6)]
    assert both(4, six) == (2, 2, True)
    assert both(4, six[:4]) == (0, 0, True)
    assert both(4, six[:3]) == (-1, -1, True)
    one = [frozenset((0,))] * 6
    assert both(4, one) == (2, 0, True)
    twice = [frozenset((n, (n + 1) % 3)) for n in range(3)]
    assert both(3, twice) == (1, 1, True)


def test_large_sets_of_copies_get_a_safe_bound_soon() -> None:
    rng = random.Random(7)
    holders = [frozenset(rng.sample(range(100), 3)) for _ in range(250)]
    copies, places, exact = both(200, holders)
    assert not exact
    assert copies == 51 * 3 - 1
    # 153 copies must go, and no source holds more than the largest ones together do.
    load = sorted((sum(s in h for h in holders) for s in range(100)), reverse=True)
    assert sum(load[:places]) < 153
    assert places >= 8
