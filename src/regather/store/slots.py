"""Verified pieces in slots of one length, in memory or on the disk: for one reader in order.

A slot is used again when its piece is dropped, so there is never more memory, or disk, in use than
the limit. On the disk it is a temporary file without a name: the system frees it when the process
ends, however that happens.
"""

from __future__ import annotations

import os
import tempfile
import weakref
from typing import Protocol

from regather.errors import RegatherError, StorageError, is_disk_full, of_system
from regather.files.platform import preallocate, read_all, write_all
from regather.model import Layout
from regather.store.base import PieceMissing
from regather.store.memory import MemoryStore
from regather.units import format_size


class _Slots(Protocol):
    """Slots, each as long as the longest piece."""

    def write(self, slot: int, data: memoryview) -> None: ...

    def read(self, slot: int, at: int, into: memoryview) -> None: ...

    def free(self) -> None: ...


class _Memory:
    """A slot is made when it is first used."""

    def __init__(self, length: int) -> None:
        self._length = length
        self._slots: dict[int, bytearray] = {}

    def write(self, slot: int, data: memoryview) -> None:
        into = self._slots.get(slot)
        if into is None:
            into = self._slots[slot] = bytearray(self._length)
        memoryview(into)[: len(data)] = data

    def read(self, slot: int, at: int, into: memoryview) -> None:
        into[:] = memoryview(self._slots[slot])[at : at + len(into)]

    def free(self) -> None:
        self._slots = {}


class _Disk:
    """Room for so many slots is claimed at once. Raises StorageError."""

    def __init__(self, length: int, count: int) -> None:
        self._length, self._size = length, length * count
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

    def read(self, slot: int, at: int, into: memoryview) -> None:
        try:
            read_all(self._descriptor, into, slot * self._length + at)
        except OSError as error:
            raise spool_trouble(error, self._size) from error

    def free(self) -> None:
        os.ftruncate(self._descriptor, 0)


def spool_trouble(error: OSError, size: int) -> RegatherError:
    """The error for one of the system, where the spool takes ``size`` bytes."""
    where = f"--spool in {tempfile.gettempdir()}"
    if is_disk_full(error):
        return StorageError(
            f"{where}: not enough space for {format_size(size)}",
            help="free some space, name another folder with TMPDIR, or give a smaller --spool",
        )
    return of_system(error, where)


class SlotStore(MemoryStore):
    """A PieceStore whose pieces are in slots, in the folder for temporary files or in memory."""

    def __init__(self, layout: Layout, limit: int, *, on_disk: bool = False) -> None:
        """``limit`` is in bytes. Raises StorageError where the disk has less room."""
        super().__init__(layout, limit)
        length = max(layout.largest_piece, 1)
        self._slots: dict[int, int] = {}
        self._free: list[int] = []
        self._made = 0
        self._room: _Slots = _Disk(length, limit // length) if on_disk else _Memory(length)

    def place(self, number: int, data: memoryview, digest: bytes) -> None:
        """See MemoryStore.place."""
        self._check_room(number, data)
        with self._changed:
            if number not in self._reserved:  # it is there
                return
            slot = self._free.pop() if self._free else self._made
            self._made += slot == self._made
        self._room.write(slot, data)
        with self._changed:
            if number not in self._reserved:  # another thread has placed it meanwhile
                self._free.append(slot)
                return
            self._slots[number] = slot
            self._keep(number, memoryview(b""))
        self.notify(number)

    def adopt(self, number: int, data: memoryview, digest: bytes) -> bool:
        """See PieceStore.adopt: a slot holds a copy."""
        self.place(number, data, digest)
        return False

    def gone(self, number: int) -> None:
        """See StoredPieces.gone; its slot is free."""
        super().gone(number)
        self._free.append(self._slots.pop(number))

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
