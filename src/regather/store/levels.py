"""Memory for the pieces of a file, with or without a disk cache below it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regather.model import Layout
from regather.store.memory import MemoryStore
from regather.store.memory_budget import MemoryBudget

if TYPE_CHECKING:
    from regather.store.cached_file import CachedFile


def store_of(
    layout: Layout, limit: int, cached: CachedFile | None, budget: MemoryBudget | None
) -> MemoryStore:
    """A store in memory, above a disk cache if there is one."""
    if cached is None:
        return MemoryStore(layout, limit, budget)
    from regather.store.tiers import CachedStore  # few have one

    return CachedStore(layout, limit, cached, budget)
