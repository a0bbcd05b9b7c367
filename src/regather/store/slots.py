"""Verified pieces in slots of one length, in memory or on the disk: for one reader in order.

A slot is used again when its piece is dropped, so there is never more memory, or disk, in use than
the limit. On the disk it is a temporary file without a name: the system frees it when the process
ends, however that happens.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable

from regather.errors import RegatherError, StorageError, is_disk_full, of_system
from regather.files.platform import new_buffer, preallocate, read_all, write_all
from regather.model import Layout
from regather.store.base import PieceMissing
from regather.store.memory import MemoryStore
from regather.store.memory_budget import MemoryBudget
from regather.units import format_size


class _Memory:
    """A slot is made when it is first used."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._slots: dict[int, memoryview] = {}

    def write(self, slot: int, data: memoryview) -> None:
        into = self._slots.get(slot)
        if not into:
            into = self._slots[slot] = new_buffer(self._length)
        into[: len(data)] = data

    def adopt(self, slot: int, data: memoryview) -> memoryview | None:
        """Exchange the memory of a slot."""
        other = self._slots.get(slot, memoryview(b""))
        self._slots[slot] = data
        return other

    def view(self, slot: int) -> memoryview:
        return self._slots[slot]

    def read(self, slot: int, at: int, into: memoryview) -> None:
        into[:] = self._slots[slot][at : at + len(into)]

    def free(self) -> None:
        self._slots = {}


class _Disk:
    """Room for so many slots is claimed at once. Raises StorageError."""

    def __init__(self, length: int, count: int) -> None:
        import tempfile  # for this alone: it imports modules of archives

        self._length, self._size = length, length * count
        self._view = new_buffer(length)
        try:
            with tempfile.TemporaryFile(buffering=0) as file:
                preallocate(file.fileno(), self._size)
                self._descriptor = os.dup(file.fileno())
        except OSError as error:
            raise spool_trouble(error, self._size) from error
        # Not before: a thread may still write to it, and its number must not be another file's.
        weakref.finalize(self, os.close, self._descriptor)

    def write(self, slot: int, data: memoryview) -> None:
        try:
            write_all(self._descriptor, data, slot * self._length)
        except OSError as error:
            raise spool_trouble(error, self._size) from error

    adopt = write

    def view(self, slot: int) -> memoryview:
        """What is right until the next call."""
        self.read(slot, 0, self._view)
        return self._view

    def read(self, slot: int, at: int, into: memoryview) -> None:
        try:
            read_all(self._descriptor, into, slot * self._length + at)
        except OSError as error:
            raise spool_trouble(error, self._size) from error

    def free(self) -> None:
        os.ftruncate(self._descriptor, 0)


def spool_trouble(error: OSError, size: int) -> RegatherError:
    """The error for one of the system, where the spool takes ``size`` bytes."""
    import tempfile

    where = f"--spool in {tempfile.gettempdir()}"
    if is_disk_full(error):
        return StorageError(
            f"{where}: not enough space for {format_size(size)}",
            help="free some space, name another folder with TMPDIR, or give a smaller --spool",
        )
    return of_system(error, where)


class _Passing(MemoryBudget):
    """Drops all that nobody needs at once, for who reads in order does not come back to it."""

    def drop(self, missing: int, asker: MemoryStore) -> dict[MemoryStore, list[int]]:
        return super().drop(self.used, asker)


class SlotStore(MemoryStore):
    """A PieceStore whose pieces are in slots, in the folder for temporary files or in memory."""

    def __init__(self, layout: Layout, limit: int, *, on_disk: bool = False) -> None:
        """``limit`` is in bytes. Raises StorageError where the disk has less room."""
        super().__init__(layout, limit, _Passing(limit))
        length = max(layout.largest_piece, 1)
        self._slots: dict[int, int] = {}
        self._free: list[int] = []
        self._made = 0
        self._room: _Memory | _Disk = _Disk(length, limit // length) if on_disk else _Memory(length)

    def place(self, number: int, data: memoryview, digest: bytes) -> None:
        """See MemoryStore.place."""
        self._put(number, data, self._room.write)

    def adopt(self, number: int, data: memoryview, digest: bytes) -> memoryview | None:
        """See PieceStore.adopt: a slot in memory gives the memory that it had."""
        return self._put(number, data, self._room.adopt)

    def _put(
        self, number: int, data: memoryview, put: Callable[[int, memoryview], memoryview | None]
    ) -> memoryview | None:
        self._check_room(number, data)
        with self._changed:
            if number not in self._reserved:  # it is there
                return None
            slot = self._free.pop() if self._free else self._made
            self._made += slot == self._made
        other = put(slot, data)
        with self._changed:
            if number not in self._reserved:  # another thread has placed it meanwhile
                self._free.append(slot)
                return other
            self._slots[number] = slot
            self._keep(number, memoryview(b""))
        self.notify(number)
        return other

    def gone(self, number: int) -> None:
        """See StoredPieces.gone; its slot is free."""
        super().gone(number)
        self._free.append(self._slots.pop(number))

    def view(self, number: int) -> memoryview | None:
        """See MemoryStore.view. It is right while the piece is held, and until the next call."""
        slot = self._slots.get(number)
        return None if slot is None else self._room.view(slot)[: self.layout.length_of(number)]

    def read(self, number: int, at: int, into: memoryview) -> None:
        """See PieceStore.read."""
        slot = -1
        while (now := self._slots.get(number)) != slot:  # its slot may become another's meanwhile
            if now is None:
                raise PieceMissing(number)
            slot = now
            self._room.read(slot, at, into)

    def close(self) -> None:
        """Forget everything, and give the room back."""
        super().close()
        with self._changed:
            self._slots.clear()
            self._free.clear()
        self._room.free()
