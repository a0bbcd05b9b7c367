"""The cache of verified pieces: bounded, and nothing that is in use ever dropped."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from regather.reading.cache import Cache


def piece(size: int) -> memoryview:
    return memoryview(bytes(size))


def test_the_least_recently_used_goes_first() -> None:
    cache = Cache(3)
    for number in range(3):
        cache.put(number, piece(1))
    cache.get(0)
    cache.put(3, piece(1))
    assert [number in cache for number in range(4)] == [True, False, True, True]


def test_pinned_pieces_stay_and_count() -> None:
    cache = Cache(2)
    for number in range(3):
        cache.pin(number)
        cache.put(number, piece(1))
    assert cache.size == 3
    cache.put(3, piece(1))
    assert 3 not in cache
    cache.unpin(1)
    assert 1 not in cache
    assert cache.size == 2


def test_a_second_copy_changes_nothing() -> None:
    cache = Cache(10)
    first = piece(4)
    cache.put(1, first)
    cache.put(1, piece(4))
    assert cache.get(1) is first
    assert cache.size == 4


def test_without_room_only_what_is_pinned_is_kept() -> None:
    cache = Cache(0)
    cache.put(1, piece(4))
    assert (1 in cache, cache.size) == (False, 0)
    cache.pin(1)
    cache.pin(1)
    cache.put(1, piece(4))
    cache.unpin(1)
    assert 1 in cache
    cache.unpin(1)
    assert (1 in cache, cache.size) == (False, 0)


STEPS = st.lists(
    st.tuples(st.sampled_from(["put", "get", "pin", "unpin"]), st.integers(0, 7)), max_size=60
)


@given(st.integers(0, 12), st.lists(st.integers(1, 5), min_size=8, max_size=8), STEPS)
def test_bounded_by_its_limit_and_what_is_pinned(
    limit: int, sizes: list[int], steps: list[tuple[str, int]]
) -> None:
    cache = Cache(limit)
    pins: Counter[int] = Counter()
    pinned_pieces: set[int] = set()
    for step, number in steps:
        match step:
            case "put":
                cache.put(number, piece(sizes[number]))
                if pins[number]:
                    pinned_pieces.add(number)
            case "get":
                found = cache.get(number)
                assert (found is not None) == (number in cache)
            case "pin":
                cache.pin(number)
                pins[number] += 1
                if number in cache:
                    pinned_pieces.add(number)
            case "unpin" if pins[number]:
                cache.unpin(number)
                pins[number] -= 1
                if not pins[number]:
                    pinned_pieces.discard(number)
        here = [n for n in range(8) if n in cache]
        assert cache.size == sum(sizes[n] for n in here)
        assert pinned_pieces <= set(here)
        assert cache.size <= max(limit, sum(sizes[n] for n in pinned_pieces))
        assert all(cache.pinned(n) == bool(pins[n]) for n in range(8))
    cache.clear()
    assert cache.size == 0
