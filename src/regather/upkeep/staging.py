"""Rebuilt fragments on their way: in nameless temporary files, that vanish with the process."""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile

from regather.digest import new_hasher
from regather.errors import StorageError, system_errors
from regather.files.spool import Spool, has_room

_MOST_IN_MEMORY = 64 << 20
_HELP = "use a folder with more free space: --temp FOLDER"


def fits(folder: str | None, size: int) -> bool:
    """Whether there is room for ``size`` bytes now. Raises StorageError."""
    with system_errors(StorageError, folder or tempfile.gettempdir(), _HELP):
        return has_room(folder, size)


def scratch(folder: str | None, size: int) -> memoryview:
    """Writable memory; where it is much, backed by a temporary file. Raises StorageError."""
    if size <= _MOST_IN_MEMORY:
        return memoryview(bytearray(size))
    with (
        contextlib.closing(Spool(folder, size, help=_HELP)) as spool,
        system_errors(StorageError, folder or tempfile.gettempdir(), _HELP),
    ):
        os.ftruncate(spool.descriptor, size)
        return memoryview(mmap.mmap(spool.descriptor, size))


class Staged:
    """A fragment that is being rebuilt, from its first byte to its last; close it."""

    def __init__(self, folder: str | None, size: int) -> None:
        """Raises StorageError where there is no room for ``size`` bytes."""
        self._spool = Spool(folder, size, help=_HELP)
        self._hasher = new_hasher()
        self._size = 0
        self.lost: list[int] = []
        """Rows that could not be had: then it is of no use."""
        self.read = self._spool.read
        """Fills a buffer from an offset on: what Store.put asks for."""

    def append(self, data: memoryview) -> None:
        """Append a verified piece. Raises StorageError."""
        self._hasher.update(data)
        self._spool.write(self._size, data)
        self._size += len(data)

    def digest(self) -> bytes:
        """BLAKE3 of all that was appended."""
        return self._hasher.digest()

    def close(self) -> None:
        """Close it, which removes it."""
        self._spool.close()
