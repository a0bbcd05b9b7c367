"""Which pieces of a packed folder are wanted, and which are there as a part of right files."""

from __future__ import annotations

from collections.abc import Collection

from regather.folder import Folder
from regather.model import Layout
from regather.store.spans import Spans


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
