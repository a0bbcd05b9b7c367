"""Rebuilt fragments on their way: in nameless temporary files, that vanish with the process."""

from __future__ import annotations

import mmap
import os
import tempfile

from regather.digest import new_hasher
from regather.errors import StorageError, reason
from regather.files.spool import Spool

_MOST_IN_MEMORY = 64 << 20


def trouble(folder: str | None, error: OSError) -> StorageError:
    """What a failure of the folder for temporary files means to the user."""
    where = folder or tempfile.gettempdir()
    why = reason(error).lower()
    return StorageError(f"{where}: {why}", help="use a folder with more free space: --temp FOLDER")


def scratch(folder: str | None, size: int) -> memoryview:
    """Writable memory; where it is much, backed by a temporary file. Raises StorageError."""
    if size <= _MOST_IN_MEMORY:
        return memoryview(bytearray(size))
    try:
        spool = Spool(folder, size)
        try:
            os.ftruncate(spool.descriptor, size)
            return memoryview(mmap.mmap(spool.descriptor, size))
        finally:
            spool.close()
    except OSError as error:
        raise trouble(folder, error) from None


class Staged:
    """A fragment that is being rebuilt, from its first byte to its last; close it."""

    def __init__(self, folder: str | None, size: int) -> None:
        """Raises StorageError where there is no room for ``size`` bytes."""
        self._folder = folder
        self._hasher = new_hasher()
        self._size = 0
        self.lost: list[int] = []
        """Rows that could not be had: then it is of no use."""
        try:
            self._spool = Spool(folder, size)
        except OSError as error:
            raise trouble(folder, error) from None

    def append(self, data: memoryview) -> None:
        """Append a verified piece. Raises StorageError."""
        self._hasher.update(data)
        try:
            self._spool.write(self._size, data)
        except OSError as error:
            raise trouble(self._folder, error) from None
        self._size += len(data)

    def digest(self) -> bytes:
        """BLAKE3 of all that was appended."""
        return self._hasher.digest()

    def read(self, offset: int, into: memoryview) -> None:
        """Fill ``into``: what Store.put asks for."""
        try:
            self._spool.read(offset, into)
        except OSError as error:
            raise trouble(self._folder, error) from None

    def close(self) -> None:
        """Close it, which removes it."""
        self._spool.close()
