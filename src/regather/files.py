"""Files and folders of this machine: what the system says of them, and names that last."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterable
from pathlib import Path

__all__ = ["UNTRUE_SIZE", "make_folders", "size_is_untrue", "sync_folder", "sync_names"]

UNTRUE_SIZE = "has another size than the system says, as files in /proc and /sys do"
_UNSUPPORTED = (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS)


def size_is_untrue(descriptor: int) -> bool:
    """Whether an open file has bytes although its size is said to be 0, or fewer than it says.

    Files in /proc, /sys and of some FUSE are so: to be read to their end, whatever is said. Raises
    OSError where they cannot be read.
    """
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return False
    last = os.pread(descriptor, 1, max(status.st_size - 1, 0))
    return bool(last) != bool(status.st_size)


def sync_folder(path: str | Path) -> None:
    """Make names inside the folder durable, where its file system can and we may read it.

    Raises OSError where the disk fails.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        return
    try:
        sync_names(descriptor)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        os.close(descriptor)


def sync_names(folder: int) -> None:
    """Make the names in an open folder durable, where its file system can.

    Raises OSError where the disk fails.
    """
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def make_folders(paths: Iterable[Path], *, sync: bool = True) -> None:
    """Make folders, durably, and those that they are in, where they are missing.

    Raises OSError: FileExistsError where a file has the name.
    """
    changed: dict[Path, None] = {}
    for path in paths:
        missing = path
        while not missing.exists():
            changed[missing.parent] = None
            missing = missing.parent
        path.mkdir(parents=True, exist_ok=True)
    for folder in changed if sync else ():
        sync_folder(folder)
