"""Bytes of memory that the stores of several files share.

What was used least recently goes first, whatever file it is of. What is needed stays.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from mmap import mmap
from typing import TYPE_CHECKING

from regather.files.platform import is_viewed

if TYPE_CHECKING:
    from regather.store.memory import MemoryStore

_SPARE_BYTES = 16 << 20
"""Memory of dropped pieces that is kept for the next ones: the system would clear it each time."""


class MemoryBudget:
    """A number of bytes that is never exceeded: pieces that are there, and room reserved."""

    def __init__(self, limit: int) -> None:
        """``limit`` is in bytes."""
        self.limit = limit
        self.used = 0
        self.lock = threading.Lock()
        """Guards all here, and what the stores have."""
        self.pieces: OrderedDict[tuple[MemoryStore, int], None] = OrderedDict()
        """The next to be dropped first: those that were read to the end, then by last use."""
        self._spare: list[bytearray | mmap] = []

    def drop(self, missing: int, asker: MemoryStore) -> dict[MemoryStore, list[int]]:
        """Drop pieces until ``missing`` bytes are free, as far as they may go. Under the lock.

        None where that is more than there is. The guard of each other store that is returned was
        acquired: release it after the store was told. A store whose guard is taken now keeps all.
        """
        victims: dict[MemoryStore, list[int]] = {}
        if missing > self.used:
            return victims
        askable = {asker: True}
        for store, number in self.pieces:
            if missing <= 0:
                break
            if store not in askable:
                # Who waits here with its own guard taken could wait for ever.
                askable[store] = store.guard.acquire(blocking=False)
            if askable[store] and not store.is_needed(number):
                victims.setdefault(store, []).append(number)
                missing -= store.layout.length_of(number)
        for store, numbers in victims.items():
            for number in numbers:
                store.drop(number)
        for store, ours in askable.items():
            if ours and store is not asker and store not in victims:
                store.guard.release()
        return victims

    def recycle(self, memory: object) -> None:
        """Keep the memory of a dropped piece, unless somebody has a view of it. Under the lock."""
        if not isinstance(memory, bytearray | mmap) or not memory:
            return
        if sum(map(len, self._spare)) + len(memory) <= _SPARE_BYTES and not is_viewed(memory):
            self._spare.append(memory)

    def spare(self, length: int) -> memoryview:
        """Memory of so many bytes that was a dropped piece's, or none. Under the lock."""
        while self._spare:
            memory = self._spare.pop()
            if len(memory) == length:
                return memoryview(memory)
        return memoryview(b"")
