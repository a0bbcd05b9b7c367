"""Which bytes of a packed file belong to which file of the folder, and so which are needed."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterator
from itertools import accumulate

from regather.folder import Folder
from regather.model import Layout


class Spans:
    """Looks places up; all are in bytes."""

    def __init__(self, folder: Folder) -> None:
        self.files = [n for n, e in enumerate(folder.entries) if e.size]
        """The numbers of the entries that have bytes, in their order."""
        entries = [folder.entries[n] for n in self.files]
        self._starts = [e.offset for e in entries]
        self._ends = [e.end for e in entries]
        self._before = list(accumulate((e.size for e in entries), initial=0))

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return self._before[-1]

    def touched(self, start: int, stop: int) -> list[int]:
        """The entries that have bytes in this range of the packed file."""
        return self.files[bisect_right(self._ends, start) : bisect_left(self._starts, stop)]

    def rest(self, offset: int) -> int:
        """Where a byte that belongs to no file stands among all such."""
        return offset - self._before[bisect_right(self._ends, offset)]

    def cut(self, offset: int, data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
        """Cut what stands at ``offset`` in the packed file: (entry, where in its file, view).

        What belongs to no file has -1 for an entry, and its place among all such bytes.
        """
        number, begin, end = bisect_right(self._ends, offset), offset, offset + len(data)
        while offset < end:
            start = self._starts[number] if number < len(self.files) else end
            if offset < start:
                stop = min(start, end)
                yield -1, offset - self._before[number], data[offset - begin : stop - begin]
            else:
                stop = min(self._ends[number], end)
                yield self.files[number], offset - start, data[offset - begin : stop - begin]
                number += 1
            offset = stop


def survey(
    layout: Layout,
    folder: Folder,
    spans: Spans,
    wanted: frozenset[int],
    right: set[int],
) -> tuple[set[int], Collection[int]]:
    """Pieces of which every file is right, and pieces that are wanted.

    ``wanted`` and ``right`` are numbers of entries. Where all wanted files are right, there is no
    piece that needs to come.
    """
    numbers = range(layout.data_pieces)
    if right >= wanted.intersection(spans.files):
        everything = len(wanted) == len(folder.entries)
        return (set(numbers), numbers) if everything else (set(), ())
    found: set[int] = set()
    needed: set[int] = set()
    for number in numbers:
        offset = layout.offset_of(number)
        files = spans.touched(offset, offset + layout.length_of(number))
        if files and right.issuperset(files):
            found.add(number)
        elif not right.issuperset(wanted.intersection(files)):
            needed.add(number)
    return found, found | needed if len(wanted) < len(folder.entries) else numbers
