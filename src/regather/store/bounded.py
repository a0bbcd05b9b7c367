"""What stores with a limit share: who may be dropped for whom. The bytes are elsewhere."""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Sequence

from regather.errors import StorageError
from regather.model import Layout
from regather.store.base import PieceMissing, StoredPieces
from regather.units import format_size

EXTENT = 16 << 20
"""Bytes of consecutive pieces that are dropped together: one look at the order for many pieces."""


class Bounded(StoredPieces):
    """A PieceStore that holds ``limit`` bytes at most and drops what was used least recently.

    Room is reserved before a piece is fetched, so the limit holds at every moment. What is needed,
    reserved or being read is never dropped. The order of use is kept by extent.
    """

    def __init__(self, layout: Layout, limit: int, *, extent: int = EXTENT) -> None:
        super().__init__(layout.piece_count)
        self.layout = layout
        self.limit = limit
        self.is_needed: Callable[[int], bool] = lambda number: False
        """Whether a piece may not be dropped. Asked by who reserves, and while it does so."""
        self.on_dropped: Callable[[Sequence[int]], None] = lambda numbers: None
        """Told, by who reserves, what is not there any more."""
        self._per_extent = max(1, extent // layout.piece_size)
        self._changed = threading.Condition()
        """Guards all below; notified when room comes free."""
        self._extents: OrderedDict[int, set[int]] = OrderedDict()
        """The pieces that are there, by extent, the least recently used one first."""
        self._reserved: set[int] = set()
        self._coming: set[int] = set()
        """They are being placed; like those that are reserved, they count as used."""
        self._leaving: set[int] = set()
        """They are being dropped: nobody reads them, and their room is not free yet."""
        self._read: Counter[int] = Counter()
        """Pieces that are being read, by how many."""
        self._used = 0

    @property
    def used(self) -> int:
        """Bytes that are there or reserved: never more than ``limit``."""
        return self._used

    # -- room -----------------------------------------------------------------------------

    def reserve(self, number: int) -> bool:
        """Set room aside for a piece that is to be fetched, once however often it is called.

        Drops others for it. False where all that is there is needed or in use.
        """
        length = self.layout.length_of(number)
        while True:
            with self._changed:
                if self._here[number] or number in self._reserved or number in self._coming:
                    return True
                missing = self._used + length - self.limit
                if missing <= 0 and number not in self._leaving:
                    self._reserved.add(number)
                    self._used += length
                    return True
                missing -= sum(map(self.layout.length_of, self._leaving))
                victims = [] if length > self.limit else self._victims(missing)
                if not victims:
                    if not self._leaving or length > self.limit:
                        return False
                    self._changed.wait()  # another thread is making room
                    continue
            self._evict(victims)

    def cancel(self, number: int) -> None:
        """Give back what was reserved: the piece does not come."""
        with self._changed:
            if number in self._reserved:
                self._reserved.remove(number)
                self._free((number,))

    def _victims(self, missing: int) -> list[int]:
        """Take pieces out of use, whole extents, until ``missing`` bytes are to come free."""
        victims: list[int] = []
        emptied: list[int] = []
        for extent, pieces in self._extents.items():
            if missing <= 0:
                break
            free = [n for n in pieces if n not in self._read and not self.is_needed(n)]
            pieces.difference_update(free)
            if not pieces:
                emptied.append(extent)
            for number in free:
                self.gone(number)
                missing -= self.layout.length_of(number)
            victims += free
        for extent in emptied:
            del self._extents[extent]
        self._leaving.update(victims)
        return victims

    def _evict(self, victims: Sequence[int]) -> None:
        try:
            self.on_dropped(victims)
            self._drop(victims)
        finally:
            with self._changed:
                self._leaving.difference_update(victims)
                self._free(victims)

    def _free(self, numbers: Iterable[int]) -> None:
        self._used -= sum(map(self.layout.length_of, numbers))
        self._changed.notify_all()

    def shed(self) -> bool:
        """Drop the extent that was used least recently; False where nothing may be dropped."""
        with self._changed:
            victims = self._victims(1)
        if victims:
            self._evict(victims)
        return bool(victims)

    # -- pieces ---------------------------------------------------------------------------

    def place(self, number: int, data: memoryview, digest: bytes) -> None:
        """Take in a piece; see PieceStore.place. Raises StorageError where it has no room."""
        if not self.reserve(number):
            raise StorageError(
                f"not enough space for a piece of {format_size(len(data))}: "
                "every stored piece is in use",
                help=f"allow more than {format_size(self.limit)}",
            )
        with self._changed:
            if number not in self._reserved:  # it is there, or another thread is placing it
                return
            self._reserved.remove(number)
            self._coming.add(number)
        try:
            self._put(number, data, digest)
        except BaseException:
            with self._changed:
                self._coming.remove(number)
                self._free((number,))
            raise
        with self._changed:
            self._coming.remove(number)
            self._insert(number)
            self._here[number] = True
        self.notify(number)

    def read(self, number: int, at: int, into: memoryview) -> None:
        """See PieceStore.read."""
        with self._changed:
            if not self._here[number]:
                raise PieceMissing(number)
            self._read[number] += 1
            self._extents.move_to_end(number // self._per_extent)
        try:
            right = self._get(number, at, into)
        finally:
            with self._changed:
                self._read[number] -= 1
                if not self._read[number]:
                    del self._read[number]
                    self._changed.notify_all()
        if not right:
            self._discard(number)
            raise PieceMissing(number)

    def whole(self, number: int) -> bytes:
        """All bytes of a piece. Raises as ``read`` does."""
        into = bytearray(self.layout.length_of(number))
        self.read(number, 0, memoryview(into))
        return bytes(into)

    def _discard(self, number: int) -> None:
        """Drop a piece that proved wrong, whoever needs it."""
        with self._changed:
            if not self._here[number]:
                return  # another reader has done so
            extent = number // self._per_extent
            self._extents[extent].remove(number)
            if not self._extents[extent]:
                del self._extents[extent]
            self.gone(number)
            self._leaving.add(number)
            while number in self._read:  # by others, who must not see zeros
                self._changed.wait()
        self._evict((number,))

    def _insert(self, number: int) -> None:
        """A piece is there, as the one that was used last. Its bytes are counted already."""
        extent = number // self._per_extent
        self._extents.setdefault(extent, set()).add(number)
        self._extents.move_to_end(extent)

    @abstractmethod
    def close(self) -> None:
        """Nothing comes any more, and nothing is read."""

    @abstractmethod
    def _put(self, number: int, data: memoryview, digest: bytes) -> None:
        """Keep the bytes. Raises StorageError."""

    @abstractmethod
    def _get(self, number: int, at: int, into: memoryview) -> bool:
        """Fill ``into`` from ``at`` on; False where the piece proves wrong. Raises StorageError."""

    @abstractmethod
    def _drop(self, numbers: Sequence[int]) -> None:
        """Forget the bytes of pieces. Raises nothing: what fails is tried again at the start."""
