"""Old files and folders, of which what is still the same need not be fetched.

A piece is taken where an old file has the bytes that it must have, by its hash, at the same offset.
The old file is only read.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Callable, Sequence
from typing import Protocol

from regather.errors import UsageError, is_fault_here, of_system, reason
from regather.files.openat import DirHandle
from regather.files.platform import closed_after, read_all
from regather.folder import Folder
from regather.folder.packing import Packing
from regather.model import Layout
from regather.store.pieces import PlacePiece, matching
from regather.store.spans import Spans


class Seed(Protocol):
    """Bytes that may be those of the file, by their offset in it. Thread-safe."""

    def read(self, offset: int, into: memoryview) -> None:
        """Fill ``into`` with what stands at ``offset``. Raises OSError where there is less."""
        ...

    def close(self) -> None:
        """Let it go."""
        ...


class FileSeed:
    """An old version of a file."""

    def __init__(self, path: str) -> None:
        """Raises UsageError, StorageError."""
        try:
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise _unusable(path, error) from None
        if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            self.close()
            raise UsageError(
                f"{path}: is not a file, but the download is one", help="give an older file"
            )

    def read(self, offset: int, into: memoryview) -> None:
        """See Seed."""
        read_all(self._descriptor, into, offset)

    def close(self) -> None:
        """See Seed."""
        os.close(self._descriptor)


class FolderSeed:
    """An old version of a folder: its files under the same paths, as the packed file has them."""

    def __init__(self, path: str, name: str, folder: Folder) -> None:
        """``name`` is that of the published folder. Raises UsageError, StorageError."""
        try:
            self._below = DirHandle(path)
        except OSError as error:
            raise _unusable(path, error) from None
        self._entries = folder.entries
        self._spans = Spans(folder)
        self._packing = Packing.if_alike(name, folder)
        self._lock = threading.Lock()

    def read(self, offset: int, into: memoryview) -> None:
        """See Seed."""
        for file, at, view in self._spans.cut(offset, into):
            if file < 0:
                self._between(offset, view)
            else:
                with self._lock:
                    descriptor = self._below.open(self._entries[file].path)
                with closed_after(descriptor):
                    read_all(descriptor, view, at)
            offset += len(view)

    def _between(self, offset: int, into: memoryview) -> None:
        """What stands between files."""
        if self._packing is None:
            raise OSError(errno.ENODATA, os.strerror(errno.ENODATA))
        for start, end, what in self._packing.spans(offset, offset + len(into)):
            assert isinstance(what, bytes)
            into[start - offset : end - offset] = what

    def close(self) -> None:
        """See Seed."""
        self._below.close()


def _unusable(path: str, error: OSError) -> Exception:
    if is_fault_here(error):
        return of_system(error, path)
    return UsageError(f"{path}: {reason(error).lower()}", help="give an older version")


def reuse(
    seed: Seed,
    layout: Layout,
    missing: Sequence[int],
    place: PlacePiece,
    on_piece: Callable[[int], None],
) -> list[int]:
    """Place what a seed has of the pieces that are missing; returns their numbers.

    ``on_piece`` is called in this thread with the bytes of each piece that was looked at.
    """
    found = []
    for number, right in matching(layout, missing, seed.read, place):
        on_piece(layout.length_of(number))
        if right:
            found.append(number)
    return found
