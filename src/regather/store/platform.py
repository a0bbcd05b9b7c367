"""The few calls that differ between systems, each with a fallback."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import time

_SAMPLE = 16 << 20
_CHEAP_SECONDS = 0.002
"""A disk reserves the sample in about 0.1 ms; tmpfs needs 2 to 5 ms, 0.2 s a GiB."""
_UNSUPPORTED = frozenset((errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP))


def preallocate(descriptor: int, size: int) -> None:
    """Give the file ``size`` bytes and claim their space now: a full disk is an early error.

    Raises OSError (ENOSPC, EFBIG). The free space is compared with the size; then, where the file
    system can do so cheaply, the space is reserved, else the file is extended sparsely.
    """
    if size == 0:
        os.ftruncate(descriptor, 0)
        return
    check_space(descriptor, size)
    os.ftruncate(descriptor, size)
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        # Where reserving costs as much as writing (memory file systems: every page is made now,
        # by one thread), the comparison above has to do; a disk reserves in no time.
        began = time.monotonic()
        os.posix_fallocate(descriptor, 0, min(size, _SAMPLE))
        if time.monotonic() - began < _CHEAP_SECONDS:
            os.posix_fallocate(descriptor, 0, size)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise


def open_new(path: str | os.PathLike[str]) -> int:
    """Make a file to write to that nobody else has, under a temporary name of ours.

    What a killed process left under that name goes, and a link that somebody put there. Raises
    OSError.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, 0o644)


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of ``data`` at ``offset``, in bytes: one call may write a part only.

    Raises OSError.
    """
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], offset + written)


def read_all(descriptor: int, into: memoryview, offset: int) -> None:
    """Fill ``into`` with what stands at ``offset``, in bytes. Raises OSError where it ends."""
    have = 0
    while have < len(into):
        count = os.preadv(descriptor, [into[have:]], offset + have)
        if count == 0:
            raise OSError(errno.EIO, "became shorter")
        have += count


def check_space(descriptor: int, size: int) -> None:
    """Raise OSError (ENOSPC) where the file cannot grow to ``size`` bytes."""
    free = os.fstatvfs(descriptor)
    held = os.fstat(descriptor).st_blocks * 512
    if size - held > free.f_bavail * free.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def sync_folder(path: str) -> None:
    """Make a rename inside the folder durable; a file system that cannot is let pass."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def sync_system(descriptor: int) -> None:
    """Make all that was written to the file system of an open file durable. Raises OSError.

    Where the system has no call for one file system, all of them are synced.
    """
    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        os.sync()
    elif call(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def publish(source: str, target: str, *, replace: bool) -> None:
    """Give a finished file its final name, atomically.

    With ``replace`` an existing target is replaced; without, FileExistsError is raised and the
    target left alone, even if it appeared only now.
    """
    if replace:
        os.replace(source, target)
        return
    try:
        os.link(source, target)
    except FileExistsError:
        raise
    except OSError:
        # No hard links here: look first, which leaves only a very small window.
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        os.rename(source, target)
    else:
        os.unlink(source)
