"""The pieces of one file in the disk cache."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from regather.digest import piece_hasher
from regather.model import Layout
from regather.store import extents
from regather.store.base import PieceMissing
from regather.store.extent_list import Extent

if TYPE_CHECKING:
    from regather.store.disk_cache import DiskCache

_TOUCH_SECONDS = 60.0
"""How often the time of an extent that is used is set on the disk: the order outlives a start."""


class Borrowed:
    """A verified piece on the disk that stays until this is closed: for ``os.sendfile``.

    Use as a context manager.
    """

    def __init__(self, file: CachedFile, number: int, descriptor: int, offset: int) -> None:
        self.descriptor = descriptor
        self.offset = offset
        """Where the piece begins in it."""
        self._file = file
        self._number = number

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def lose(self) -> None:
        """The disk does not give it: it is not there any more."""
        self._file.discard(self._number)

    def close(self) -> None:
        """Give it back, once."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self._file.unpin(self._number)
        self.descriptor = -1


class CachedFile:
    """Pieces by their running number. For any thread; nothing raises because the disk fails."""

    def __init__(self, cache: DiskCache, layout: Layout, path: Path, per_extent: int) -> None:
        self.layout = layout
        self.per_extent = per_extent
        self.listeners: list[Callable[[Sequence[int]], None]] = []
        """Told, in any thread and under no lock, which pieces are not there any more."""
        self._cache = cache
        self._path = path
        self._lock = cache.lock
        self._hash = piece_hasher(layout.hash_algorithm)
        self._here = bytearray(layout.piece_count)
        self._trusted = bytearray(layout.piece_count)
        """Whether this process was given the piece, or has hashed it."""
        self._claims: dict[int, bytes | memoryview] = {}
        """Records of pieces that are not hashed yet, and that the layout has no hash of."""
        self._pending: dict[int, bytes | memoryview] = {}
        """What waits to be written: it is read from here."""

    # -- for the cache, under its lock ----------------------------------------------------

    def found(self, extent: Extent, claims: Mapping[int, bytes]) -> None:
        """An extent that was there at the start, and the records in it."""
        extent.owner, extent.number = self, int(extent.path.name)
        for place, record in claims.items():
            number = extent.number * self.per_extent + place
            if number < len(self._here):
                extent.slots.add(place)
                self._here[number] = 1
                if self.layout.hash_of(*self.layout.locate(number)) is None:
                    self._claims[number] = record

    def extent_of(self, number: int) -> Extent:
        """The extent that a piece is in, which is made if need be."""
        index = number // self.per_extent
        path = self._path / str(index)
        extent = self._cache.extents.get(path)
        if extent is None:
            extent = Extent(path)
            extent.owner, extent.number = self, index
            self._cache.extents.add(extent)
        return extent

    def lost(self, extent: Extent) -> list[int]:
        """An extent is dropped; the pieces that were in it."""
        numbers = self.holds(extent)
        for number in numbers:
            self._forget(number)
        return numbers

    def holds(self, extent: Extent) -> list[int]:
        """The pieces of an extent that are on the disk."""
        first = extent.number * self.per_extent
        numbers = range(first, min(first + self.per_extent, len(self._here)))
        return [n for n in numbers if self._here[n] and n not in self._pending]

    def _forget(self, number: int) -> None:
        self._here[number] = self._trusted[number] = 0
        self._claims.pop(number, None)

    # -- for the cache, under no lock -----------------------------------------------------

    def written(self, number: int, *, stored: bool) -> None:
        """A piece was written, or could not be."""
        with self._lock:
            del self._pending[number]
            if not stored:
                self._forget(number)
        if not stored:
            self.tell([number])

    def tell(self, numbers: Sequence[int]) -> None:
        """Pieces are not there any more."""
        if numbers:
            for listener in list(self.listeners):
                listener(numbers)

    # -- pieces ---------------------------------------------------------------------------

    def has(self, number: int) -> bool:
        """Whether the piece is there, or claimed to be: it may prove wrong when it is read."""
        return number < len(self._here) and bool(self._here[number])

    def snapshot(self) -> bytes:
        """By number, 1 for each piece that is there now, else 0."""
        return bytes(self._here)

    def numbers(self) -> list[int]:
        """The pieces that are there."""
        return [number for number, here in enumerate(self._here) if here]

    def offer(self, number: int, data: bytes | memoryview, digest: bytes) -> bool:
        """Have a verified piece stored; False where it is not. It is there from now on."""
        with self._lock:
            if self._here[number]:
                return True
            if self._cache.accept(self, number, data, digest):
                self._pending[number] = data
                self._here[number] = self._trusted[number] = 1
                return True
        self._cache.note_dropped()
        return False

    def pin(self, number: int) -> bool:
        """Have a piece stay until ``unpin``, as often as that was called; False if it is gone."""
        with self._lock:
            if not self._here[number]:
                return False
            extent = self.extent_of(number)
            extent.pins += 1
            self._cache.extents.use(extent)
            return True

    def unpin(self, number: int) -> None:
        """The piece may go."""
        with self._lock:
            self.extent_of(number).pins -= 1

    def read(self, number: int, at: int, into: memoryview) -> None:
        """Fill ``into`` with the bytes of a piece from ``at`` on. Raises PieceMissing."""
        if not self.pin(number):
            raise PieceMissing(number)
        try:
            pending = self._pending.get(number)
            if pending is not None:
                into[:] = memoryview(pending)[at : at + len(into)]
                return
            right = self._load(number, at, into)
        finally:
            self.unpin(number)
        if not right:
            self.discard(number)
            raise PieceMissing(number)

    def verify(self, number: int) -> bool:
        """Whether the piece is there and right: hashed, if this process has not done so."""
        try:
            self.read(number, 0, memoryview(bytearray(0)))
        except PieceMissing:
            return False
        return True

    def borrow(self, number: int) -> Borrowed | None:
        """A piece to be sent from the disk; None where it is not there, or not written yet."""
        if not self.verify(number) or not self.pin(number):
            return None
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            if number in self._pending or not self._trusted[number]:
                raise OSError  # not yet, or not any more
            descriptor = os.open(self._extent_path(number), flags)
        except OSError:
            self.unpin(number)
            return None
        place = number % self.per_extent
        offset = extents.start_of(place, self.layout.piece_size)
        return Borrowed(self, number, descriptor, offset)

    def _extent_path(self, number: int) -> Path:
        return self._path / str(number // self.per_extent)

    def _load(self, number: int, at: int, into: memoryview) -> bool:
        """Read from the disk; False where the piece proves wrong, or cannot be read."""
        path, place = self._extent_path(number), number % self.per_extent
        size = self.layout.piece_size
        try:
            self._touch(number, path)
            if self._trusted[number]:
                extents.load(path, place, size, at, into)
                return True
            whole = memoryview(bytearray(self.layout.length_of(number)))
            extents.load(path, place, size, 0, whole)
        except OSError:  # a bad spot of the disk: the piece can be had elsewhere
            return False
        right = self.layout.hash_of(*self.layout.locate(number)) or self._claims.get(number)
        if self._hash(whole) != right:
            return False
        self._trusted[number] = 1
        into[:] = whole[at : at + len(into)]
        return True

    def _touch(self, number: int, path: Path) -> None:
        now = time.monotonic()
        with self._lock:
            extent = self.extent_of(number)
            due = now - extent.touched > _TOUCH_SECONDS
            extent.touched = now if due else extent.touched
        if due:
            os.utime(path)

    def discard(self, number: int) -> None:
        """A piece proved wrong: it is not there."""
        with self._lock:
            if not self._here[number] or number in self._pending:
                return  # another reader has done so
            self._forget(number)
            self._cache.tally.evicted_bytes["corrupt"] += self.layout.length_of(number)
        extents.forget(self._extent_path(number), number % self.per_extent)
        self.tell([number])
