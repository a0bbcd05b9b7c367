"""Rebuilt fragments on their way: in nameless temporary files, that vanish with the process."""

from __future__ import annotations

import errno
import mmap
import os
import tempfile
from typing import BinaryIO

from regather.digest import new_hasher
from regather.errors import StorageError, reason
from regather.transport import Failure, RequestFailed
from regather.units import format_size

__all__ = ["Staged", "has_room", "scratch", "trouble"]

_MOST_IN_MEMORY = 64 << 20


def trouble(folder: str | None, error: OSError) -> StorageError:
    """What a failure of the folder for temporary files means to the user."""
    where = folder or tempfile.gettempdir()
    why = reason(error).lower()
    return StorageError(f"{where}: {why}", help="use a folder with more free space: --temp FOLDER")


def has_room(folder: str | None, size: int) -> bool:
    """Whether ``size`` bytes fit into the folder now. Raises StorageError."""
    try:
        free = os.statvfs(folder or tempfile.gettempdir())
    except OSError as error:
        raise trouble(folder, error) from None
    return size <= free.f_bavail * free.f_frsize


def _temporary(folder: str | None) -> BinaryIO:
    # Nameless from the start where the system can, else at once: a killed process leaves nothing.
    file: BinaryIO = tempfile.TemporaryFile(  # noqa: SIM115
        buffering=0, prefix=".regather-repair-", dir=folder
    )
    return file


def scratch(folder: str | None, size: int) -> memoryview:
    """Writable memory; where it is much, backed by a temporary file. Raises StorageError."""
    if size <= _MOST_IN_MEMORY:
        return memoryview(bytearray(size))
    try:
        with _temporary(folder) as file:
            if not has_room(folder, size):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.ftruncate(file.fileno(), size)
            return memoryview(mmap.mmap(file.fileno(), size))
    except OSError as error:
        raise trouble(folder, error) from None


class Staged:
    """A fragment that is being rebuilt, from its first byte to its last; close it."""

    def __init__(self, folder: str | None, size: int) -> None:
        """Raises StorageError where there is no room for ``size`` bytes."""
        if not has_room(folder, size):
            raise StorageError(
                f"{folder or tempfile.gettempdir()}: not enough space for a fragment of "
                f"{format_size(size)}",
                help="use a folder with more free space: --temp FOLDER",
            )
        self._folder = folder
        self._hasher = new_hasher()
        self.lost: list[int] = []
        """Rows that could not be had: then it is of no use."""
        try:
            self._file = _temporary(folder)
        except OSError as error:
            raise trouble(folder, error) from None

    def append(self, data: memoryview) -> None:
        """Append a verified piece. Raises StorageError."""
        self._hasher.update(data)
        try:
            while data:
                data = data[os.write(self._file.fileno(), data) :]
        except OSError as error:
            raise trouble(self._folder, error) from None

    def digest(self) -> bytes:
        """BLAKE3 of all that was appended."""
        return self._hasher.digest()

    def read(self, offset: int, into: memoryview) -> None:
        """Fill ``into``: what Store.put asks for."""
        while into:
            count = os.preadv(self._file.fileno(), [into], offset)
            if not count:
                raise RequestFailed(Failure.TRUNCATED, "the temporary file was truncated")
            into, offset = into[count:], offset + count

    def close(self) -> None:
        """Close it, which removes it."""
        self._file.close()
