"""The few calls that differ between systems, each with a fallback."""

from __future__ import annotations

import contextlib
import errno
import os

_UNSUPPORTED = frozenset((errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP))


def preallocate(descriptor: int, size: int) -> None:
    """Give the file ``size`` bytes and claim their space now: a full disk is an early error.

    Raises OSError (ENOSPC, EFBIG). Where the file system cannot reserve, the free space is
    compared and the file extended sparsely.
    """
    if size == 0:
        os.ftruncate(descriptor, 0)
        return
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(descriptor, 0, size)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        else:
            return
    free = os.fstatvfs(descriptor)
    held = os.fstat(descriptor).st_blocks * 512
    if size - held > free.f_bavail * free.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.ftruncate(descriptor, size)


def sync_folder(path: str) -> None:
    """Make a rename inside the folder durable; a file system that cannot is let pass."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


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
