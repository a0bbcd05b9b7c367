"""A temporary file without a name: nothing of it is left, however the process ends."""

from __future__ import annotations

import errno
import os
import tempfile

from regather.errors import StorageError, system_errors
from regather.files.platform import read_all, write_all
from regather.units import counted


def has_room(folder: str | None, size: int) -> bool:
    """Whether ``size`` bytes fit into a folder now (None: that of TMPDIR). Raises OSError."""
    free = os.statvfs(folder or tempfile.gettempdir())
    return size <= free.f_bavail * free.f_frsize


class Spool:
    """Room for ``size`` bytes, read and written anywhere, by any thread; close it."""

    def __init__(self, folder: str | None, size: int, *, help: str, what: str = "") -> None:
        """``folder`` is where it is, None: where temporary files go. All raises StorageError.

        ``help`` and ``what``, which stands behind the folder, are for its message.
        """
        self._trouble = StorageError, (folder or tempfile.gettempdir()) + what, help
        with system_errors(*self._trouble):
            if not has_room(folder, size):
                raise OSError(errno.ENOSPC, f"not enough space for {counted(size, 'byte')}")
            # Without a name from the start where the system can, else at once.
            self._file = tempfile.TemporaryFile(  # noqa: SIM115
                buffering=0, prefix=".regather-", dir=folder
            )

    @property
    def descriptor(self) -> int:
        """Of the open file."""
        return self._file.fileno()

    def write(self, offset: int, data: memoryview) -> None:
        """Write all of it there."""
        with system_errors(*self._trouble):
            write_all(self.descriptor, data, offset)

    def read(self, offset: int, into: memoryview) -> None:
        """Fill ``into`` with what was written there."""
        with system_errors(*self._trouble):
            read_all(self.descriptor, into, offset)

    def close(self) -> None:
        """Give the room back."""
        self._file.close()
