"""Memory above a disk cache, as one piece store."""

from __future__ import annotations

from collections.abc import Sequence

from regather.model import Layout
from regather.store.base import PieceMissing
from regather.store.cached_file import Borrowed, CachedFile
from regather.store.memory import MemoryStore
from regather.store.memory_budget import MemoryBudget


class CachedStore(MemoryStore):
    """A PieceStore that has what is in memory or on the disk.

    What comes is kept in memory, and offered to the disk. What is on the disk needs no room in
    memory: it is read from there, and stays as long as room is reserved for it.
    """

    def __init__(
        self, layout: Layout, limit: int, cached: CachedFile, budget: MemoryBudget | None = None
    ) -> None:
        """``limit`` and ``budget`` are those of memory."""
        super().__init__(layout, limit, budget)
        self._cached = cached
        self._pinned: set[int] = set()
        cached.listeners.append(self._gone_from_disk)

    def has(self, number: int) -> bool:
        """Whether the piece is in memory or on the disk."""
        return bool(self._here[number]) or self._cached.has(number)

    def snapshot(self) -> bytes:
        """See StoredPieces.snapshot: those in memory or on the disk."""
        memory, disk = (int.from_bytes(s, "big") for s in (self._here, self._cached.snapshot()))
        return (memory | disk).to_bytes(len(self._here), "big")

    def reserve(self, number: int) -> bool:
        """See MemoryStore.reserve; a piece on the disk stays there instead."""
        if not self._here[number] and self._cached.has(number):
            with self._changed:
                if number in self._pinned:
                    return True
                if self._cached.pin(number):
                    self._pinned.add(number)
                    return True
        return super().reserve(number)

    def cancel(self, number: int) -> None:
        """See MemoryStore.cancel."""
        self._unpin(number)
        super().cancel(number)

    def _unpin(self, number: int) -> None:
        with self._changed:
            if number in self._pinned:
                self._pinned.remove(number)
                self._cached.unpin(number)

    def _take(self, number: int, data: memoryview, digest: bytes) -> bool:
        if self._cached.has(number):
            self.notify(number)
            return False
        taken = super()._take(number, data, digest)
        self._unpin(number)
        return taken

    def _placed(self, number: int, data: memoryview, digest: bytes) -> None:
        self._cached.offer(number, data, digest)

    def read(self, number: int, at: int, into: memoryview) -> None:
        """See PieceStore.read."""
        try:
            super().read(number, at, into)
        except PieceMissing:
            self._cached.read(number, at, into)

    def borrow(self, number: int) -> Borrowed | None:
        """See MemoryStore.borrow."""
        return self._cached.borrow(number)

    def _gone_from_disk(self, numbers: Sequence[int]) -> None:
        self.on_dropped(numbers)

    def close(self) -> None:
        """Forget what is in memory; the disk keeps what it has."""
        if self._gone_from_disk in self._cached.listeners:
            self._cached.listeners.remove(self._gone_from_disk)
        for number in list(self._pinned):
            self._unpin(number)
        super().close()
