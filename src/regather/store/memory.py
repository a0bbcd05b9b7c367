"""Verified pieces in memory, up to a number of bytes that is never exceeded."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from regather.errors import StorageError
from regather.model import Layout
from regather.store.base import PieceMissing, StoredPieces
from regather.units import format_size

if TYPE_CHECKING:
    from regather.store.cached_file import Borrowed


class MemoryStore(StoredPieces):
    """A PieceStore that holds ``limit`` bytes at most and drops what was used least recently.

    Room is reserved before a piece is fetched, so the limit holds at every moment. What is needed
    or reserved is never dropped.
    """

    def __init__(self, layout: Layout, limit: int) -> None:
        """``limit`` is in bytes."""
        super().__init__(layout)
        self.limit = limit
        self.is_needed: Callable[[int], bool] = lambda number: False
        """Whether a piece may not be dropped. Asked by who reserves, and while it does so."""
        self.on_dropped: Callable[[Sequence[int]], None] = lambda numbers: None
        """Told, by who reserves, what was dropped: another level of the store may have it still."""
        self._changed = threading.Lock()
        """Guards all below."""
        self._pieces: OrderedDict[int, memoryview] = OrderedDict()
        """The next to be dropped first: those that were read to the end, then by last use."""
        self._unread: dict[int, int] = {}
        """Bytes that readers have not yet taken of a piece: it is dropped after those of others."""
        self._reserved: set[int] = set()
        self._used = 0

    @property
    def used(self) -> int:
        """Bytes that are there or reserved: never more than ``limit``."""
        return self._used

    def reserve(self, number: int) -> bool:
        """Set room aside for a piece that is to be fetched, once however often it is called.

        Drops others for it. False where all that is there is needed or reserved.
        """
        length = self.layout.length_of(number)
        with self._changed:
            if number in self._pieces or number in self._reserved:
                return True
            victims = self._victims(self._used + length - self.limit)
            room = self._used + length <= self.limit
            if room:
                self._reserved.add(number)
                self._used += length
        if victims:
            self.on_dropped(victims)
        return room

    def cancel(self, number: int) -> None:
        """Give back what was reserved: the piece does not come."""
        with self._changed:
            if number in self._reserved:
                self._reserved.remove(number)
                self._used -= self.layout.length_of(number)

    def _victims(self, missing: int) -> list[int]:
        """Drop pieces until ``missing`` bytes are free; none where that is more than the limit."""
        victims: list[int] = []
        if missing > self._used:
            return victims
        for number in self._pieces:
            if missing <= 0:
                break
            if not self.is_needed(number):
                victims.append(number)
                missing -= self.layout.length_of(number)
        for number in victims:
            self.gone(number)
            del self._pieces[number]
            self._unread.pop(number, None)
            self._used -= self.layout.length_of(number)
        return victims

    def place(self, number: int, data: memoryview, digest: bytes) -> None:
        """Take in a piece; see PieceStore.place. Raises StorageError where it has no room."""
        self._take(number, memoryview(bytes(data)), digest)

    def adopt(self, number: int, data: memoryview, digest: bytes) -> bool:
        """Take in a piece with its memory; see PieceStore.adopt. Raises StorageError as place."""
        return self._take(number, data.toreadonly(), digest)

    def _take(self, number: int, data: memoryview, digest: bytes) -> bool:
        """Keep a piece; False where it is there already."""
        self._check_room(number, data)
        with self._changed:
            if number not in self._reserved:  # it is there: another thread has placed it
                return False
            self._reserved.remove(number)
            self._pieces[number] = data
            self._unread[number] = len(data)
            self._here[number] = True
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
            self._pieces.move_to_end(number, last=not after <= 0 < before)
        into[:] = piece[at : at + len(into)]

    def view(self, number: int) -> memoryview | None:
        """The bytes of a piece in memory, without a copy; None where it is not there."""
        with self._changed:
            piece = self._pieces.get(number)
            if piece is None:
                return None
            self._pieces.move_to_end(number)
            return memoryview(piece)

    def borrow(self, number: int) -> Borrowed | None:
        """A piece to be sent from the disk, if that is where it is."""
        return None

    def close(self) -> None:
        """Forget everything."""
        self.cancel_waiting()
        with self._changed:
            self._here[:] = bytes(len(self._here))
            self._pieces.clear()
            self._unread.clear()
            self._reserved.clear()
            self._used = 0
