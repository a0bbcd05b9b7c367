"""Sets of pieces kept as runs: memory follows the runs, not the pieces."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

Run = tuple[int, int]
"""Pieces ``start`` up to, not including, ``end``."""


class Runs:
    """A set of whole numbers, kept as sorted runs that neither touch nor overlap."""

    __slots__ = ("_runs", "count")

    def __init__(self) -> None:
        self._runs: list[Run] = []
        self.count = 0
        """How many numbers are in the set."""

    def __bool__(self) -> bool:
        return bool(self._runs)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self._runs, (number, sys.maxsize)) - 1
        return at >= 0 and number < self._runs[at][1]

    def __iter__(self) -> Iterator[Run]:
        return iter(self._runs)

    def __repr__(self) -> str:
        return "Runs(" + ", ".join(f"{a}-{b - 1}" for a, b in self._runs) + ")"

    def first(self) -> Run:
        """The first run; there must be one."""
        return self._runs[0]

    def add(self, start: int, end: int) -> None:
        """Put numbers in; those that are there already stay once."""
        if start >= end:
            return
        at = bisect_left(self._runs, (start, start))
        if at and self._runs[at - 1][1] >= start:
            at -= 1
        last = at
        while last < len(self._runs) and self._runs[last][0] <= end:
            a, b = self._runs[last]
            start, end = min(start, a), max(end, b)
            self.count -= b - a
            last += 1
        self._runs[at:last] = [(start, end)]
        self.count += end - start

    def remove(self, start: int, end: int) -> None:
        """Take numbers out; those that are not there do not matter."""
        runs = self._runs
        if start >= end or not runs:
            return
        first, stop = runs[0]
        if first == start and end < stop:
            # By far the most frequent: the first ones of all.
            runs[0] = (end, stop)
            self.count -= end - start
            return
        at = bisect_left(runs, (start, start))
        if at and runs[at - 1][1] > start:
            at -= 1
        rest: list[Run] = []
        last = at
        while last < len(self._runs) and self._runs[last][0] < end:
            a, b = self._runs[last]
            self.count -= b - a
            rest += [run for run in ((a, min(b, start)), (max(a, end), b)) if run[0] < run[1]]
            last += 1
        self._runs[at:last] = rest
        self.count += sum(b - a for a, b in rest)

    def clear(self) -> None:
        """Take everything out."""
        self._runs.clear()
        self.count = 0
