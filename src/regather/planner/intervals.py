"""Sets and multisets of pieces kept as runs: memory follows the runs, not the pieces."""

from __future__ import annotations

import sys
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

Run = tuple[int, int]
"""Pieces ``start`` up to, not including, ``end``."""


class IntervalSet:
    """A set of whole numbers, kept as sorted runs that neither touch nor overlap."""

    __slots__ = ("count", "runs")

    def __init__(self) -> None:
        self.runs: list[Run] = []
        """To be read only."""
        self.count = 0
        """How many numbers are in the set."""

    def __bool__(self) -> bool:
        return bool(self.runs)

    def __contains__(self, number: int) -> bool:
        at = bisect_right(self.runs, (number, sys.maxsize)) - 1
        return at >= 0 and number < self.runs[at][1]

    def __iter__(self) -> Iterator[Run]:
        return iter(self.runs)

    def __repr__(self) -> str:
        return "IntervalSet(" + ", ".join(f"{a}-{b - 1}" for a, b in self.runs) + ")"

    def none_since(self, number: int) -> int:
        """From where on, at most up to a number, nothing below that number is in the set."""
        at = bisect_left(self.runs, (number, number))
        return min(self.runs[at - 1][1], number) if at else 0

    def first_shared(self, other: IntervalSet, begin: int = 0) -> Run | None:
        """The first run from ``begin`` on that is in both sets."""
        ones, others = self.runs, other.runs
        i = _at_or_after(ones, begin) if begin else 0
        while i < len(ones):
            a, b = ones[i]
            start = max(a, begin)
            j = _at_or_after(others, start)
            if j == len(others):
                return None
            c, d = others[j]
            if c < b:
                return max(start, c), min(b, d)
            i = _at_or_after(ones, c)
        return None

    def add(self, start: int, end: int) -> int:
        """Put numbers in; return how many of them were not there."""
        if start >= end:
            return 0
        before = self.count
        at = bisect_left(self.runs, (start, start))
        if at and self.runs[at - 1][1] >= start:
            at -= 1
        last = at
        while last < len(self.runs) and self.runs[last][0] <= end:
            a, b = self.runs[last]
            start, end = min(start, a), max(end, b)
            self.count -= b - a
            last += 1
        self.runs[at:last] = [(start, end)]
        self.count += end - start
        return self.count - before

    def remove(self, start: int, end: int) -> int:
        """Take numbers out; return how many of them were there."""
        runs = self.runs
        if start >= end or not runs:
            return 0
        first, stop = runs[0]
        if start == first and end < stop:
            # By far the most frequent: the very first ones.
            runs[0] = (end, stop)
            self.count -= end - start
            return end - start
        if end <= first:
            return 0
        before = self.count
        at = bisect_left(runs, (start, start))
        if at and runs[at - 1][1] > start:
            at -= 1
        rest: list[Run] = []
        last = at
        while last < len(runs) and (run := runs[last])[0] < end:
            a, b = run
            self.count -= b - a
            if a < start:
                rest.append((a, start))
                self.count += start - a
            if end < b:
                rest.append((end, b))
                self.count += b - end
            last += 1
        if last > at:
            runs[at:last] = rest
        return before - self.count

    def within(self, start: int, end: int) -> list[Run]:
        """The runs of the set between two numbers."""
        runs = self.runs
        found: list[Run] = []
        at = _at_or_after(runs, start)
        while at < len(runs) and runs[at][0] < end:
            a, b = runs[at]
            found.append((max(a, start), min(b, end)))
            at += 1
        return found

    def gaps(self, start: int, end: int) -> list[Run]:
        """The runs between two numbers that are not in the set."""
        found: list[Run] = []
        for a, b in self.within(start, end):
            if start < a:
                found.append((start, a))
            start = b
        if start < end:
            found.append((start, end))
        return found


class Coverage:
    """How many times each whole number is covered, kept as runs of equal counts."""

    __slots__ = ("_counts", "_edges")

    def __init__(self) -> None:
        self._edges: list[int] = []
        """Where the count changes."""
        self._counts: list[int] = []
        """The count from each edge to the next; from the last one on it is 0."""

    def __contains__(self, number: int) -> bool:
        return self.count(number) > 0

    def count(self, number: int) -> int:
        """How many times a number is covered."""
        at = bisect_right(self._edges, number) - 1
        return self._counts[at] if at >= 0 else 0

    def add(self, start: int, end: int) -> list[Run]:
        """Cover numbers once more; return the runs that were not covered before."""
        return self._change(start, end, 1, 0)

    def remove(self, start: int, end: int) -> list[Run]:
        """Cover numbers, all of which are covered, once less; return the runs that are bare now."""
        return self._change(start, end, -1, 1)

    def within(self, start: int, end: int) -> list[Run]:
        """The runs between two numbers that are covered."""
        edges, counts = self._edges, self._counts
        found: list[Run] = []
        at = max(bisect_right(edges, start) - 1, 0)
        while at + 1 < len(edges) and edges[at] < end:
            if counts[at]:
                a, b = max(edges[at], start), min(edges[at + 1], end)
                if found and found[-1][1] == a:
                    found[-1] = (found[-1][0], b)
                elif a < b:
                    found.append((a, b))
            at += 1
        return found

    def _change(self, start: int, end: int, by: int, critical: int) -> list[Run]:
        """Add to the counts; return the runs whose count was ``critical``."""
        found: list[Run] = []
        if start >= end:
            return found
        edges, counts = self._edges, self._counts
        first, last = self._edge(start), self._edge(end)
        for at in range(first, last):
            if counts[at] == critical:
                a, b = edges[at], edges[at + 1]
                if found and found[-1][1] == a:
                    found[-1] = (found[-1][0], b)
                else:
                    found.append((a, b))
            counts[at] += by
        for at in (last, first):
            if counts[at] == (counts[at - 1] if at else 0):
                del edges[at], counts[at]
        return found

    def _edge(self, number: int) -> int:
        """The index of the edge at a number, which is made if there is none."""
        at = bisect_left(self._edges, number)
        if at == len(self._edges) or self._edges[at] != number:
            self._edges.insert(at, number)
            self._counts.insert(at, self._counts[at - 1] if at else 0)
        return at


def _at_or_after(runs: list[Run], number: int) -> int:
    """Where the first run stands that ends after a number."""
    at = bisect_right(runs, (number, sys.maxsize))
    return at - 1 if at and runs[at - 1][1] > number else at
