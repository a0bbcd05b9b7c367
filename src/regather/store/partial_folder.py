"""What is not whole yet of a folder: in one folder of its own, inside the destination.

``.regather-part`` holds a file for each of ours, called by its number, so that no name of theirs
matters; ``rest``, the bytes of the packed file that belong to no file, one after the other, with
parity behind them; and the journal.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading

from regather.files.openat import DirHandle
from regather.files.platform import check_space, is_own, preallocate
from regather.folder import STAGING, Folder
from regather.model import Layout
from regather.store.journal import Journal

_JOURNAL, _REST = "journal", "rest"
_FILE = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Staging:
    """That folder, open and locked."""

    def __init__(
        self, below: DirHandle, layout: Layout, folder: Folder, identity: bytes, rest: int
    ) -> None:
        """Open or make it; ``rest`` are the bytes that belong to no file, parity aside.

        Raises BlockingIOError where another process has it, or OSError: then there is nothing that
        was not there before.
        """
        self._below = below
        self._folder = folder
        self._lock = threading.Lock()
        self._seen: set[int] = set()
        """Entries that have a file: where it vanishes, what had come is not to be zeros."""
        self.rest = -1
        for last in (False, True):
            self.descriptor = self._own_folder()
            try:
                self.journal = Journal(_JOURNAL, layout, identity, folder=self.descriptor)
                break
            except OSError as error:
                os.close(self.descriptor)
                if isinstance(error, FileNotFoundError) and not last:
                    continue  # another process ended, and removed the folder just now
                with contextlib.suppress(OSError):
                    os.rmdir(STAGING, dir_fd=below.descriptor)
                raise OSError(error.errno, error.strerror, f"{STAGING}/{_JOURNAL}") from None
        self._fresh = self.journal.empty
        self._size = rest

    def _own_folder(self) -> int:
        """Open or make the folder itself, this user's."""
        below = self._below
        with contextlib.suppress(FileExistsError):
            os.mkdir(STAGING, 0o700, dir_fd=below.descriptor)
        descriptor = below.anew(STAGING)
        try:
            if not is_own(descriptor, "", folder=descriptor):
                raise PermissionError(errno.EPERM, "belongs to another user", STAGING)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def begin(self, needed: int) -> dict[int, bytes]:
        """What the journal claims of this very download; clears the place if it is of another.

        ``needed`` are the bytes that are to come. Raises OSError (ENOSPC).
        """
        claims = self.journal.claims()
        self._clear(keep=_JOURNAL) if claims is None else self._take_over()
        self.rest = self._open(_REST, _FILE | os.O_CREAT)
        if os.fstat(self.rest).st_size < self._size:  # parity stands behind
            os.ftruncate(self.rest, self._size)
        if claims is None:
            check_space(self.rest, needed)
            self.journal.start_anew()
        return claims or {}

    def ignores_case(self) -> bool:
        """Whether the file system takes names that differ in case for one."""
        try:
            os.stat(_JOURNAL.upper(), dir_fd=self.descriptor)
        except FileNotFoundError:
            return False
        return True

    def file(self, number: int, *, claim: bool = True) -> int:
        """Open the file that an entry is put together in; its space is claimed at first, or not.

        Thread-safe; the caller closes it. Raises OSError.
        """
        name = str(number)
        with self._lock:
            flags = _FILE if number in self._seen else _FILE | os.O_CREAT
            descriptor = self._open(name, flags)
            self._seen.add(number)
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode):
                    raise OSError(errno.EINVAL, "is not a regular file", f"{STAGING}/{name}")
                size = self._folder.entries[number].size
                if status.st_size != size:
                    preallocate(descriptor, size) if claim else os.ftruncate(descriptor, size)
            except BaseException:
                os.close(descriptor)
                raise
        return descriptor

    def open(self, number: int) -> int:
        """Open the file of an entry to read, if there is one. Raises OSError."""
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = self._open(str(number), flags)
        with self._lock:
            self._seen.add(number)
        return descriptor

    def _open(self, name: str, flags: int) -> int:
        try:
            return os.open(name, flags, 0o600, dir_fd=self.descriptor)
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"{STAGING}/{name}") from None

    def _take_over(self) -> None:
        """Make what an earlier run left ours alone, before anyone looks for what is claimed of it.

        What has another name too is removed, for writing to it would change that: it was given its
        name by a run that was killed then, or somebody keeps a copy in links. Files that have got
        their modes already may be written to again.
        """
        for name in os.listdir(self.descriptor):
            status = os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
            if name == _JOURNAL or not stat.S_ISREG(status.st_mode):
                continue
            if status.st_nlink > 1:
                os.unlink(name, dir_fd=self.descriptor)
            elif stat.S_IMODE(status.st_mode) != 0o600:
                os.chmod(name, 0o600, dir_fd=self.descriptor)

    def _clear(self, keep: str = "") -> None:
        for name in os.listdir(self.descriptor):
            if name != keep:
                with contextlib.suppress(OSError):
                    os.unlink(name, dir_fd=self.descriptor)

    def give_up(self) -> None:
        """Close; remove it if it was made just now, for nothing came."""
        self.remove() if self._fresh else self.close()

    def remove(self) -> None:
        """Remove all of it, the journal last, and close."""
        if self.descriptor >= 0:
            self._clear(keep=_JOURNAL)
            self._clear()
            with contextlib.suppress(OSError):
                os.rmdir(STAGING, dir_fd=self._below.descriptor)
        self.close()

    def close(self) -> None:
        """Close; what is there stays for the next run."""
        descriptors, self.descriptor, self.rest = (self.descriptor, self.rest), -1, -1
        with contextlib.closing(self.journal):
            for descriptor in descriptors:
                if descriptor >= 0:
                    os.close(descriptor)
