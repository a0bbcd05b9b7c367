"""Which pieces of a packed folder need not come, since their files are right, or not wanted."""

from __future__ import annotations

from regather.folder import Folder
from regather.model import Layout
from regather.store.spans import Spans


def unneeded(
    layout: Layout,
    folder: Folder,
    spans: Spans,
    wanted: frozenset[int],
    right: set[int],
) -> tuple[set[int], frozenset[int]]:
    """Pieces that need not come: of which every file is right, and that nobody wants.

    ``wanted`` and ``right`` are numbers of entries. Where all wanted files are right, there is no
    piece that needs to come.
    """
    numbers = range(layout.data_pieces)
    if right >= wanted.intersection(spans.files):
        if len(wanted) == len(folder.entries):
            return set(numbers), frozenset()
        return set(), frozenset(numbers)
    found: set[int] = set()
    absent: set[int] = set()
    for number in numbers:
        fragment, piece = layout.locate(number)
        offset = layout.offset(fragment, piece)
        files = spans.touched(offset, offset + layout.length(fragment, piece))
        if files and right.issuperset(files):
            found.add(number)
        elif right.issuperset(wanted.intersection(files)):
            absent.add(number)
    return found, frozenset(absent) if len(wanted) < len(folder.entries) else frozenset()
