"""Verified pieces in memory, up to a number of bytes that is never exceeded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from regather.errors import StorageError
from regather.model import Layout
from regather.store.base import PieceMissing, StoredPieces
from regather.store.memory_budget import MemoryBudget
from regather.units import format_size

if TYPE_CHECKING:
    from regather.store.cached_file import Borrowed


class MemoryStore(StoredPieces):
    """A PieceStore that holds ``limit`` bytes at most and drops what was used least recently.

    Room is reserved before a piece is fetched, so the limit holds at every moment. What is needed
    or reserved is never dropped. Several stores may share a budget.
    """

    def __init__(self, layout: Layout, limit: int, budget: MemoryBudget | None = None) -> None:
        """``limit`` is in bytes; with a ``budget``, that of it counts instead."""
        super().__init__(layout)
        self._budget = budget or MemoryBudget(limit)
        self.is_needed: Callable[[int], bool] = lambda number: False
        """Whether a piece may not be dropped. Asked by who reserves, and while it does so."""
        self.guard = threading.Condition()
        """Taken while others that share the budget ask, and tell, of pieces of this store."""
        self.on_dropped: Callable[[Sequence[int]], None] = lambda numbers: None
        """Told, by who reserves, what was dropped: another level of the store may have it still."""
        self._changed = self._budget.lock
        """Guards all below."""
        self._pieces: dict[int, memoryview] = {}
        self._unread: dict[int, int] = {}
        """Bytes that readers have not yet taken of a piece: it is dropped after those of others."""
        self._reserved: set[int] = set()

    @property
    def limit(self) -> int:
        """Bytes that it, and those that share its budget, hold at most."""
        return self._budget.limit

    @property
    def used(self) -> int:
        """Bytes that are there or reserved: never more than ``limit``."""
        return self._budget.used

    def reserve(self, number: int) -> bool:
        """Set room aside for a piece that is to be fetched, once however often it is called.

        Drops others for it. False where all that is there is needed or reserved.
        """
        budget, length = self._budget, self.layout.length_of(number)
        victims: dict[MemoryStore, list[int]] = {}
        with self._changed:
            if number in self._pieces or number in self._reserved:
                return True
            if budget.used + length > budget.limit:
                victims = budget.drop(budget.used + length - budget.limit, self)
            room = budget.used + length <= budget.limit
            if room:
                self._reserved.add(number)
                budget.used += length
        for store, numbers in victims.items():
            store.on_dropped(numbers)
            if store is not self:
                store.guard.release()
        return room

    def cancel(self, number: int) -> None:
        """Give back what was reserved: the piece does not come."""
        with self._changed:
            if number in self._reserved:
                self._reserved.remove(number)
                self._budget.used -= self.layout.length_of(number)

    def drop(self, number: int) -> None:
        """A piece is there no longer. Under the lock of the budget, which drops it."""
        self.gone(number)
        del self._budget.pieces[self, number]
        self._unread.pop(number, None)
        self._budget.recycle(self._pieces.pop(number).obj)
        self._budget.used -= self.layout.length_of(number)

    def _keep(self, number: int, data: memoryview) -> None:
        """A piece that room was reserved for is there. Under the lock."""
        self._reserved.remove(number)
        self._pieces[number] = data
        self._budget.pieces[self, number] = None
        self._here[number] = True

    def place(self, number: int, data: memoryview, digest: bytes) -> None:
        """Take in a piece; see PieceStore.place. Raises StorageError where it has no room."""
        self._take(number, memoryview(bytes(data)), digest)

    def adopt(self, number: int, data: memoryview, digest: bytes) -> memoryview | None:
        """Take in a piece with its memory; see PieceStore.adopt. Raises StorageError as place."""
        if not self._take(number, data.toreadonly(), digest):
            return None
        with self._changed:
            return self._budget.spare(len(data))

    def _take(self, number: int, data: memoryview, digest: bytes) -> bool:
        """Keep a piece; False where it is there already."""
        self._check_room(number, data)
        with self._changed:
            if number not in self._reserved:  # it is there: another thread has placed it
                return False
            self._keep(number, data)
            self._unread[number] = len(data)
        self._placed(number, data, digest)
        self.notify(number)
        return True

    def _check_room(self, number: int, data: memoryview) -> None:
        if not self.reserve(number):
            raise StorageError(
                f"not enough space for a piece of {format_size(len(data))}: "
                "every stored piece is in use",
                help=f"allow more than {format_size(self.limit)}",
            )

    def _placed(self, number: int, data: memoryview, digest: bytes) -> None:
        """A piece is there that was not before."""

    def read(self, number: int, at: int, into: memoryview) -> None:
        """See PieceStore.read."""
        with self._changed:
            piece = self._pieces.get(number)
            if piece is None:
                raise PieceMissing(number)
            before = self._unread.get(number, 0)
            self._unread[number] = after = before - len(into)
            # Read once from end to end is mostly read for good; read again it is in use.
            self._budget.pieces.move_to_end((self, number), last=not after <= 0 < before)
        into[:] = piece[at : at + len(into)]

    def view(self, number: int) -> memoryview | None:
        """The bytes of a piece in memory, without a copy; None where it is not there."""
        with self._changed:
            piece = self._pieces.get(number)
            if piece is None:
                return None
            self._budget.pieces.move_to_end((self, number))
            return memoryview(piece)

    def borrow(self, number: int) -> Borrowed | None:
        """A piece to be sent from the disk, if that is where it is."""
        return None

    def close(self) -> None:
        """Forget everything."""
        self.cancel_waiting()
        with self._changed:
            self._here[:] = bytes(len(self._here))
            for number in self._pieces:
                del self._budget.pieces[self, number]
            self._budget.used -= sum(map(self.layout.length_of, (*self._pieces, *self._reserved)))
            self._pieces.clear()
            self._unread.clear()
            self._reserved.clear()
