"""Files that are coming in: under a temporary name until whole and right, then named at once.

The temporary name begins with a dot, so that our server never serves or lists it. Names are
relative to an open folder: nobody can lead them elsewhere by exchanging a folder for a link.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from regather.digest import Hasher, new_hasher
from regather.files.platform import closed_after, publish, sync_names, try_lock

PREFIX = ".regather-incoming-"
"""How the names of files that are still coming in begin."""
_OPEN = os.O_CLOEXEC | os.O_NOFOLLOW
_LOOK_SECONDS = 0.01


class AtomicFile:
    """A file that becomes ``name`` in ``folder`` (an open descriptor, the caller's) by publish().

    Call discard() in any case: it closes the file and, where it was not published, removes it.
    Raises OSError.
    """

    def __init__(self, folder: int, name: str, *, hasher: Hasher | None = None) -> None:
        self._folder = folder
        self._name = name
        self._hasher = hasher or new_hasher()
        self._published = False
        while True:
            self._temporary = PREFIX + os.urandom(8).hex()
            self.descriptor = os.open(
                self._temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPEN, 0o666, dir_fd=folder
            )
            # The lock tells this file from those of dead processes, which remove_leftovers()
            # removes; it may have done so between the two calls: then another. Without locks
            # nothing is taken for a leftover either.
            try:
                if try_lock(self.descriptor) and os.fstat(self.descriptor).st_nlink:
                    return
            except BaseException:
                self.discard()
                raise
            os.close(self.descriptor)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append ``data`` and hash it. Raises OSError."""
        view = memoryview(data)
        self._hasher.update(view)
        while view:
            view = view[os.write(self.descriptor, view) :]

    def digest(self) -> bytes:
        """The hash of all that was written."""
        return self._hasher.digest()

    def sync(self) -> None:
        """Wait until all that was written is on the disk. Raises OSError."""
        os.fsync(self.descriptor)

    def publish(self, *, replace: bool, keep_mode: bool = True) -> None:
        """Give the file its name, atomically; call sync() before.

        With ``keep_mode`` it has the permissions of what it replaces. Raises FileExistsError where
        something has that name and ``replace`` is false, and other OSErrors. Once this was called
        the file may be under its name even where it raised.
        """
        self._differ_in_time()
        folder = self._folder
        publish(
            self._temporary,
            self._name,
            replace=replace,
            source_folder=folder,
            folder=folder,
            keep_mode=keep_mode,
        )
        self._published = True
        sync_names(folder)

    def _differ_in_time(self) -> None:
        """Never have the time of what is replaced: entity tags are made of time and size."""
        with contextlib.suppress(OSError):
            old = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
            if old.st_mtime_ns == os.fstat(self.descriptor).st_mtime_ns:
                later = old.st_mtime_ns + 1000
                os.utime(self.descriptor, ns=(later, later))

    def discard(self) -> None:
        """Close the file, and remove it where it has not got its name."""
        if self.descriptor < 0:
            return
        if not self._published:
            with contextlib.suppress(OSError):
                os.unlink(self._temporary, dir_fd=self._folder)
        descriptor, self.descriptor = self.descriptor, -1
        os.close(descriptor)


def write_file(path: Path, data: bytes, *, replace: bool, mode: int | None = None) -> None:
    """Write a whole file, durably, that has its name only then; with these permissions, if given.

    Raises OSError: FileExistsError where something has that name and ``replace`` is false.
    """
    with closed_after(os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as folder:
        incoming = AtomicFile(folder, path.name)
        try:
            if mode is not None:
                os.fchmod(incoming.descriptor, mode)
            incoming.write(data)
            incoming.sync()
            incoming.publish(replace=replace, keep_mode=mode is None)
        finally:
            incoming.discard()


@contextlib.contextmanager
def folder_locked(path: str | Path) -> Iterator[None]:
    """Wait until no other process of ours, or thread, changes files in this folder; then none does.

    Raises OSError. Without locks in the file system nothing is waited for.
    """
    with closed_after(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)) as descriptor:
        while not try_lock(descriptor):
            time.sleep(_LOOK_SECONDS)
        yield


def remove_leftovers(path: str, *, deep: bool = True) -> int:
    """Remove what killed processes of this user left in a folder and, if deep, those below it.

    Returns how many files. Files that a living process is still writing, here or elsewhere, stay.
    """
    removed = 0
    for folder, below, names in os.walk(path):
        if not deep:
            below.clear()
        for name in names:
            if name.startswith(PREFIX):
                with contextlib.suppress(OSError):
                    removed += _remove_if_dead(os.path.join(folder, name))
    return removed


def _remove_if_dead(path: str) -> bool:
    with closed_after(os.open(path, os.O_RDONLY | os.O_NONBLOCK | _OPEN)) as descriptor:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return False
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
        return True
