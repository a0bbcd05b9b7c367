"""What a session keeps its pieces in, and how much of it is for rows that are computed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regather.model import Layout
from regather.store.memory import MemoryStore

if TYPE_CHECKING:
    from regather.store.cached_file import CachedFile

_ROW_BYTES = 32 << 20
"""Room for pieces that are there for the sake of others in their row; one row at least."""
_MOST_ROWS = 8


def rows_of(layout: Layout) -> tuple[int, int]:
    """How many rows may be computed at a time, and the bytes that takes."""
    largest = max(layout.largest_piece, 1)
    width = max((len(members.data) for members in layout.sets), default=0)
    rows = max(1, min(_MOST_ROWS, _ROW_BYTES // (largest * max(width, 1))))
    return rows, rows * width * largest


def store_of(layout: Layout, limit: int, cache: CachedFile | None) -> MemoryStore:
    """Memory of ``limit`` bytes, above the disk cache if there is one."""
    if cache is None:
        return MemoryStore(layout, limit)
    from regather.store.tiers import CachedStore  # few sessions have one

    return CachedStore(layout, limit, cache)
