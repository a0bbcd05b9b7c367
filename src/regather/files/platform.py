"""Files of this machine: what the system says of them, names that last, room claimed at once.

Calls that differ between systems are here, each with a fallback.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

UNTRUE_SIZE = "its content does not match its size, as in /proc and /sys"
MODE = 0o666
"""Of files to be made: the user's umask takes from it what it takes."""
_SAMPLE = 16 << 20
_CHEAP_SECONDS = 0.002
"""A disk reserves the sample in about 0.1 ms; tmpfs needs 2 to 5 ms, 0.2 s a GiB."""
_UNSUPPORTED = frozenset((errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.ENOTSUP))


_MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD of malloc.h."""
_LARGE = 256 << 10
"""Bytes from which memory is the system's own to give and take."""


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


@contextlib.contextmanager
def closed_after(descriptor: int) -> Iterator[int]:
    """Give a descriptor that is open, and close it at the end."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def open_new(path: str | os.PathLike[str]) -> int:
    """Make a file to write to that nobody else has, under a temporary name of ours.

    What a killed process left under that name goes, and a link that somebody put there. Raises
    OSError.
    """
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(path, flags, MODE)


def open_own(path: str | os.PathLike[str], *, folder: int | None = None) -> int:
    """Open a regular file to read and write, or make it: this user's, with no other name.

    ``path`` is relative to ``folder``, an open one, if given. What has another name too is left
    alone and given up for a new file, and so is what belongs to somebody else, who may still write
    to it. Links are not followed. Raises OSError.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, MODE, dir_fd=folder)
    except PermissionError:  # as of a file of others, in a folder like /tmp
        descriptor = -1
    if descriptor >= 0:
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "exists and is not a regular file", str(path))
            if status.st_nlink <= 1 and is_own(descriptor, os.path.dirname(path), folder=folder):
                return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
    with contextlib.suppress(FileNotFoundError):
        try:
            os.unlink(path, dir_fd=folder)
        except PermissionError:
            raise PermissionError(
                errno.EPERM, "belongs to another user and cannot be removed", str(path)
            ) from None
    return os.open(path, flags | os.O_EXCL, MODE, dir_fd=folder)


def is_own(descriptor: int, above: str | os.PathLike[str], *, folder: int | None = None) -> bool:
    """Whether what is open belongs to whoever owns what this process makes in the folder ``above``.

    That is mostly its user, but not where a file system knows no owners, or another for root.
    """
    owner = os.fstat(descriptor).st_uid
    if owner == os.geteuid():
        return True
    name = os.path.join(above, f".regather-owner-{os.urandom(8).hex()}")
    probe = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=folder)
    try:
        return os.fstat(probe).st_uid == owner
    finally:
        os.close(probe)
        os.unlink(name, dir_fd=folder)


def is_named(descriptor: int, path: str | os.PathLike[str], *, folder: int | None = None) -> bool:
    """Whether ``path`` is the name of that open file, no link followed. Raises OSError."""
    try:
        there = os.stat(path, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def cut_to(descriptor: int, size: int) -> None:
    """Cut off what stands behind the first ``size`` bytes. Raises OSError where there are fewer.

    Whatever gets a final name goes through here: nobody has verified what is behind its end.
    """
    actual = os.fstat(descriptor).st_size
    if actual < size:
        raise OSError(errno.EIO, "was truncated during the download")
    if actual > size:
        os.ftruncate(descriptor, size)


def write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of ``data`` at ``offset``, in bytes: one call may write a part only.

    Raises OSError.
    """
    written = 0
    while written < len(data):
        written += os.pwrite(descriptor, data[written:], offset + written)


def write_parts(descriptor: int, parts: list[memoryview]) -> int:
    """Write what is taken of ``parts``, and drop it there; return its bytes. Raises OSError."""
    count = left = os.writev(descriptor, parts[:1024])  # the system takes no more (IOV_MAX)
    while parts and left >= len(parts[0]):
        left -= len(parts.pop(0))
    if left:
        parts[0] = parts[0][left:]
    return count


def new_buffer(size: int) -> memoryview:
    """Memory for a piece, of zeros.

    The system clears it page by page where it is first written, and other threads run meanwhile;
    a bytearray is cleared at once, while no other thread runs Python.
    """
    if size < _LARGE:
        return memoryview(bytearray(size))
    return memoryview(mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))


def is_viewed(memory: bytearray | mmap.mmap) -> bool:
    """Whether anybody has a view of memory that ``new_buffer`` gave, or may have one."""
    try:  # to change its size, which Python refuses as long as there is a view
        if isinstance(memory, bytearray):
            memory.append(memory.pop())
        else:
            memory.resize(len(memory))
    except (BufferError, SystemError):  # the latter where no mapping can be resized
        return True
    return False


def read_all(descriptor: int, into: memoryview, offset: int) -> None:
    """Fill ``into`` with what stands at ``offset``, in bytes. Raises OSError where it ends."""
    have = 0
    while have < len(into):
        count = os.preadv(descriptor, [into[have:]], offset + have)
        if count == 0:
            raise OSError(errno.EIO, "became shorter")
        have += count


def try_lock(descriptor: int) -> bool:
    """Lock an open file or folder until it is closed; False where another process has it.

    True also where this file system has no locks.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def check_space(descriptor: int, size: int) -> None:
    """Raise OSError (ENOSPC) where the file cannot grow to ``size`` bytes."""
    free = os.fstatvfs(descriptor)
    held = os.fstat(descriptor).st_blocks * 512
    if size - held > free.f_bavail * free.f_frsize:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def sync_system(descriptor: int) -> None:
    """Make all that was written to the file system of an open file durable. Raises OSError.

    Where the system has no call for one file system, all of them are synced.
    """
    import ctypes  # takes as long as all else here, and few commands need it

    call = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if call is None:
        os.sync()
    elif call(descriptor) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def give_memory_back() -> None:
    """Have buffers of pieces go back to the system as soon as they are freed.

    Else a C library may keep them in heaps of each thread, and use far more than the pieces need.
    """
    import ctypes

    call = getattr(ctypes.CDLL(None), "mallopt", None)  # of glibc
    if call is not None:
        call(_MMAP_THRESHOLD, _LARGE)


def publish(
    source: str,
    target: str,
    *,
    replace: bool,
    source_folder: int | None = None,
    folder: int | None = None,
    keep_mode: bool = False,
) -> None:
    """Give a finished file, or a link, its final name, atomically.

    Names are relative to open folders, where those are given. With ``replace`` an existing target
    is replaced; without, FileExistsError is raised and the target left alone, even if it appeared
    only now. With ``keep_mode`` those who may use the file that is replaced, and no others, may use
    the new one.
    """
    if replace:
        if keep_mode:
            _copy_mode(target, folder, source, source_folder)
        os.replace(source, target, src_dir_fd=source_folder, dst_dir_fd=folder)
        return
    try:
        os.link(source, target, src_dir_fd=source_folder, dst_dir_fd=folder, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        # No hard links here: look first, which leaves only a very small window.
        with contextlib.suppress(FileNotFoundError):
            os.stat(target, dir_fd=folder, follow_symlinks=False)
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), target) from None
        os.rename(source, target, src_dir_fd=source_folder, dst_dir_fd=folder)
    else:
        os.unlink(source, dir_fd=source_folder)


def _copy_mode(old: str, folder: int | None, new: str, new_folder: int | None) -> None:
    with contextlib.suppress(OSError):
        status = os.stat(old, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            os.chmod(new, status.st_mode & 0o777, dir_fd=new_folder)


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
