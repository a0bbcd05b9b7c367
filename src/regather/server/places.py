"""Where files are written: the folders on the way, made where they are missing, for many at once.

All is done by descriptors of folders that are open: nobody can lead a path elsewhere by exchanging
a folder for a link.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from regather.files.platform import sync_names

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_TRIES = 8
"""How often folders are made that another process removes at once."""
_Key = tuple[int, int]
"""Device and inode."""


@dataclass(slots=True)
class _SharedFolder:
    """An open folder that some are using."""

    descriptor: int
    key: _Key
    parent: _SharedFolder | None
    name: str
    """In its parent."""
    made: bool = False
    """By us, and not durable yet: removed with its last user if it is still empty then."""
    users: int = 0
    """Places and folders in it."""


@dataclass(frozen=True, slots=True)
class WritePlace:
    """Where a file may be written or removed; whoever got it calls close()."""

    folders: Folders
    _folder: _SharedFolder
    name: str

    @property
    def folder(self) -> int:
        """The open folder's descriptor."""
        return self._folder.descriptor

    def look(self) -> os.stat_result | None:
        """What stands there, links not followed; None for nothing. Raises OSError."""
        try:
            return os.stat(self.name, dir_fd=self.folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def keep(self) -> None:
        """Make the folders durable that were made for the file. May wait for the disk."""
        for folder in _upwards(self._folder):
            if folder.made and folder.parent is not None:
                sync_names(folder.parent.descriptor)
                folder.made = False

    def close(self) -> None:
        """Let go of it; what was made for a file that did not come is removed."""
        self.folders.release(self._folder)


class Folders:
    """The folders below ``root`` that files are just being written to or removed from.

    Each is open once, however many use it. So a request that is refused does not remove the folder
    that it made while another one is about to write there. Not for several threads at once.
    """

    def __init__(self, root: str) -> None:
        self._root = root
        self._open: dict[_Key, _SharedFolder] = {}

    def place(self, names: Sequence[str], *, make: bool) -> WritePlace:
        """The place of the file that the last of ``names`` names, in the folders before it.

        With ``make`` missing folders are made. Raises FileNotFoundError, NotADirectoryError (a link
        or a file in place of a folder) and other OSErrors.
        """
        *folders, name = names
        for tries_left in reversed(range(_TRIES)):
            try:
                return WritePlace(self, self._descend(folders, make=make), name)
            except FileNotFoundError:
                if not make or not tries_left:
                    raise
        raise AssertionError

    def _descend(self, names: Sequence[str], *, make: bool) -> _SharedFolder:
        # The root itself may be a link: it is the user who named it.
        folder = self._hold(os.open(self._root, _FLAGS & ~os.O_NOFOLLOW), None, "", made=False)
        for name in names:
            try:
                descriptor, made = _enter(folder.descriptor, name, make=make)
            except BaseException:
                self.release(folder)
                raise
            folder = self._hold(descriptor, folder, name, made=made)
        return folder

    def _hold(
        self, descriptor: int, parent: _SharedFolder | None, name: str, *, made: bool
    ) -> _SharedFolder:
        """Count one more user of a folder; the user of ``parent`` becomes a user of this one."""
        status = os.fstat(descriptor)
        key = (status.st_dev, status.st_ino)
        folder = self._open.get(key)
        if folder is None:
            folder = self._open[key] = _SharedFolder(descriptor, key, parent, name, made)
        else:
            os.close(descriptor)
            if parent is not None:
                self.release(parent)
        folder.users += 1
        return folder

    def release(self, folder: _SharedFolder) -> None:
        """Count one user less; the last one closes it."""
        folder.users -= 1
        if folder.users:
            return
        del self._open[folder.key]
        if folder.made and folder.parent is not None:
            _remove(folder)
        os.close(folder.descriptor)
        if folder.parent is not None:
            self.release(folder.parent)


def _upwards(folder: _SharedFolder | None) -> Iterator[_SharedFolder]:
    while folder is not None:
        yield folder
        folder = folder.parent


def _enter(parent: int, name: str, *, make: bool) -> tuple[int, bool]:
    """Open a folder, made where it is missing: its descriptor, and whether it was made now."""
    made = False
    if make:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)
            made = True
    try:
        return os.open(name, _FLAGS, dir_fd=parent), made
    except BaseException:
        if made:
            with contextlib.suppress(OSError):
                os.rmdir(name, dir_fd=parent)
        raise


def _remove(folder: _SharedFolder) -> None:
    """Remove a folder where it still is what was made, and is empty."""
    assert folder.parent is not None
    with contextlib.suppress(OSError):
        found = os.stat(folder.name, dir_fd=folder.parent.descriptor, follow_symlinks=False)
        if (found.st_dev, found.st_ino) == folder.key:
            os.rmdir(folder.name, dir_fd=folder.parent.descriptor)
