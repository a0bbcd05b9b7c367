"""What stands under a folder's final names already: ours, or in the way."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING

from regather.digest import new_hasher
from regather.errors import DestinationExistsError, UsageError
from regather.files.openat import DirHandle, NotAFolder
from regather.files.platform import closed_after
from regather.folder import STAGING, Entry, Folder
from regather.names import on_disk

if TYPE_CHECKING:
    from concurrent.futures import Executor

_STEP = 1 << 20
_SHOWN = 20
_BATCH = 200


class Present:
    """Looks at what there is; changes nothing."""

    def __init__(
        self,
        path: Path,
        name: str,
        below: DirHandle,
        folder: Folder,
        wanted: Collection[int],
        *,
        force: bool,
    ) -> None:
        """``path`` is the folder in messages; see FolderDestination for the others.

        Raises DestinationExistsError, UsageError where even force doesn't help, and OSError.
        """
        self._path = path
        self._below = below
        self._folder = folder
        self._wanted = wanted
        self._force = force
        self._lock = threading.Lock()
        self.maybe: set[int] = set()
        """Entries of which a file of the right size is there."""
        self.right: set[int] = set()
        """Entries that are there as they should be."""
        if not force:
            self._refuse_other_folders(name)
        self._survey()

    def _refuse_other_folders(self, name: str) -> None:
        """Refuse a folder that holds things and nothing of ours: one of many was meant."""
        there = set(os.listdir(self._below.descriptor))
        ours = {on_disk(entry.path.partition("/")[0]) for entry in self._folder.entries}
        if STAGING not in there and not there <= ours and not self._any_file(there):
            error = DestinationExistsError(
                f"{self._path}: contains other files, and would become the published folder",
                help=f"give a new folder, for example -o {self._path / name}, or use --force to "
                "fill it",
            )
            error.path = str(self._path)
            raise error

    def _any_file(self, there: set[str]) -> bool:
        """Whether one of our names is taken that is no folder's: those are called alike easily."""
        return any(
            entry.kind != "folder"
            and on_disk(entry.path.partition("/")[0]) in there
            and self._below.look(entry.path) is not None
            for entry in self._folder.entries
        )

    def _survey(self) -> None:
        missing: set[str] = set()
        other: list[str] = []
        own_device = os.fstat(self._below.descriptor).st_dev
        mounted: set[str] = set()
        for number in sorted(self._wanted):
            entry = self._folder.entries[number]
            above = entry.path.rpartition("/")[0]
            status = None if above in missing else self._below.look(entry.path)
            if status is None:
                if above in mounted:
                    raise self._cannot_move(above)
                if entry.kind == "folder":
                    missing.add(entry.path)
            elif entry.kind == "folder":
                if not stat.S_ISDIR(status.st_mode):
                    raise NotAFolder(entry.path)
                if status.st_dev != own_device:
                    mounted.add(entry.path)
            elif stat.S_ISDIR(status.st_mode):
                raise UsageError(
                    f"{self._path / entry.path}: is a folder, and a {entry.kind} is expected there",
                    help="move it away, or choose another folder with -o",
                )
            elif entry.kind == "link" and stat.S_ISLNK(status.st_mode) and self._points(entry):
                self.right.add(number)
            elif (
                entry.kind == "file"
                and stat.S_ISREG(status.st_mode)
                and status.st_size == entry.size
            ):
                self.maybe.add(number)
            else:
                other.append(entry.path)
                if above in mounted and self._force:
                    raise self._cannot_move(above)
        self.refuse(other)

    def _cannot_move(self, folder: str) -> UsageError:
        return UsageError(
            f"{self._path / folder}: is on another file system than {self._path}, so that "
            "finished files cannot be moved there",
            help="unmount it, or choose another folder with -o",
        )

    def _points(self, entry: Entry) -> bool:
        folder, name = self._below.parent(entry.path)
        return os.readlink(name, dir_fd=folder) == on_disk(entry.target)

    def refuse(self, other: list[str]) -> None:
        """Raise DestinationExistsError where ``other`` files have our names, unless forced."""
        if not other or self._force:
            return
        more = (f"and {len(other) - _SHOWN} more",) if len(other) > _SHOWN else ()
        error = DestinationExistsError(
            f"{self._path / other[0]}: is a different file, and is kept",
            help="choose another folder with -o, or use --force to replace what differs",
            details=(*(str(self._path / path) for path in other[1:_SHOWN]), *more),
        )
        error.path = str(self._path)
        raise error

    def hash(self, pool: Executor, on_bytes: Callable[[int], None] | None) -> None:
        """Find out which of ``maybe`` are right; ``on_bytes`` is told the size of each.

        Raises DestinationExistsError where one is not, unless forced.
        """
        maybe = sorted(self.maybe)
        self.maybe.clear()
        other = []
        # A batch at a time: what waits in a pool takes more memory than an entry.
        for first in range(0, len(maybe), _BATCH):
            batch = maybe[first : first + _BATCH]
            for number, right in zip(batch, pool.map(self._is_ours, batch), strict=True):
                entry = self._folder.entries[number]
                if on_bytes:
                    on_bytes(entry.size)
                if right:
                    self.right.add(number)
                else:
                    other.append(entry.path)
        self.refuse(other)

    def _is_ours(self, number: int) -> bool:
        """Whether the file has the hash that it must have."""
        entry = self._folder.entries[number]
        hasher, buffer = new_hasher(), memoryview(bytearray(min(max(entry.size, 1), _STEP)))
        try:
            with closed_after(self.open(number)) as descriptor:
                while count := os.readv(descriptor, [buffer]):
                    hasher.update(buffer[:count])
        except OSError:
            return False
        return hasher.digest().hex() == entry.blake3

    def open(self, number: int) -> int:
        """Open the file of an entry to read. Thread-safe. Raises OSError."""
        with self._lock:
            return self._below.open(self._folder.entries[number].path)
