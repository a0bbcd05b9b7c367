"""An interval set behaves as the set of numbers that it stands for."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from regather.planner.intervals import IntervalSet

OPERATIONS = st.lists(st.tuples(st.booleans(), st.integers(0, 40), st.integers(0, 40)), max_size=40)


@given(OPERATIONS)
def test_runs_are_a_set(operations: list[tuple[bool, int, int]]) -> None:
    runs = IntervalSet()
    numbers: set[int] = set()
    for adds, start, end in operations:
        these = set(range(start, end))
        if adds:
            assert runs.add(start, end) == len(these - numbers)
            numbers |= these
        else:
            assert runs.remove(start, end) == len(these & numbers)
            numbers -= these
        flat = [n for a, b in runs for n in range(a, b)]
        assert flat == sorted(numbers)
        assert runs.count == len(numbers)
        assert bool(runs) == bool(numbers)
        bounds = list(runs)
        assert all(x[1] < y[0] for x, y in pairwise(bounds))


@given(OPERATIONS, OPERATIONS, st.integers(0, 40))
def test_what_two_sets_share(
    one: list[tuple[bool, int, int]], other: list[tuple[bool, int, int]], begin: int
) -> None:
    sets = []
    for operations in one, other:
        runs = IntervalSet()
        for adds, start, end in operations:
            (runs.add if adds else runs.remove)(start, end)
        sets.append((runs, {n for a, b in runs for n in range(a, b)}))
    (first, these), (second, those) = sets
    both: list[int] = []
    while run := first.first_shared(second, both[-1] + 1 if both else begin):
        assert run == second.first_shared(first, both[-1] + 1 if both else begin)
        both += range(*run)
    assert both == sorted(n for n in these & those if n >= begin)


@given(OPERATIONS, st.integers(0, 40))
def test_since_when_there_is_none(operations: list[tuple[bool, int, int]], number: int) -> None:
    runs = IntervalSet()
    for adds, start, end in operations:
        (runs.add if adds else runs.remove)(start, end)
    smaller = [n for a, b in runs for n in range(a, b) if n < number]
    assert runs.none_since(number) == (smaller[-1] + 1 if smaller else 0)


def test_repr_reads_well() -> None:
    runs = IntervalSet()
    runs.add(0, 3)
    runs.add(7, 8)
    assert repr(runs) == "IntervalSet(0-2, 7-7)"
