"""The end of a folder's download: everything gets its mode and its name."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Set

from regather.files.openat import DirHandle, NotAFolder
from regather.files.platform import closed_after, cut_to, publish, sync_system
from regather.folder import Entry, Folder
from regather.names import on_disk

_LINK = "link"


def install_all(
    below: DirHandle,
    staging: int,
    folder: Folder,
    wanted: Set[int],
    right: Set[int],
    *,
    replace: bool,
    sync: bool,
) -> list[str]:
    """Move files from ``staging``, a folder's descriptor, to their names; make folders and links.

    It is about the entries in ``wanted`` (by number) alone. Those in ``right`` stand where they
    should: they get their modes and times only. With ``replace`` what is in the way is replaced.
    Returns the paths of files whose times the file system does not hold. Raises FileExistsError
    with the path, OSError.
    """
    numbered = [(number, folder.entries[number]) for number in sorted(wanted)]
    other: list[str] = []
    for number, entry in numbered:
        if entry.kind == "file" and number not in right:
            with _about(entry.path):
                flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
                if not _apply_mode_and_time(os.open(str(number), flags, dir_fd=staging), entry):
                    other.append(entry.path)
    if sync:
        sync_system(staging)  # one for all: thousands of small ones would take minutes
    for number, entry in numbered:
        with _about(entry.path):
            if number in right:
                if entry.kind == "file" and not _fix_metadata(below, entry):
                    other.append(entry.path)
                continue
            try:
                _place(below, staging, number, entry, replace=replace)
            except PermissionError:
                # A folder that was ours before, and may not be written to: its mode comes last.
                below.open_up(entry.path.rpartition("/")[0])
                _place(below, staging, number, entry, replace=replace)
    # Those inside first: a folder that may not be written to takes nothing any more.
    for _, entry in reversed(numbered):
        if entry.kind == "folder":
            with _about(entry.path):
                below.set_mode(entry.path, entry.bits)
    if sync:
        sync_system(below.descriptor)
    return other


@contextlib.contextmanager
def _about(path: str) -> Iterator[None]:
    """Errors of the system name ``path``, and not how it is called in between."""
    try:
        yield
    except NotAFolder:
        raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, path) from None


def _place(below: DirHandle, staging: int, number: int, entry: Entry, *, replace: bool) -> None:
    """Let an entry stand under its name."""
    if entry.kind == "folder":
        below.make_folder(entry.path)
        return
    name = str(number)
    if entry.kind == "link":
        name = _LINK
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_LINK, dir_fd=staging)
        os.symlink(on_disk(entry.target), _LINK, dir_fd=staging)
    folder, last = below.parent(entry.path)
    publish(name, last, replace=replace, source_folder=staging, folder=folder)


def _apply_mode_and_time(descriptor: int, entry: Entry) -> bool:
    """Give an open file its mode and time, and close it; whether it has that time then."""
    with closed_after(descriptor):
        cut_to(descriptor, entry.size)
        os.fchmod(descriptor, entry.bits)
        if entry.mtime is not None:
            os.utime(descriptor, (entry.mtime, entry.mtime))
            return os.fstat(descriptor).st_mtime_ns // 10**9 == entry.mtime
        return True


def _fix_metadata(below: DirHandle, entry: Entry) -> bool:
    """Give a file that was there already its mode and time, where they differ.

    Returns what ``_apply_mode_and_time`` does.
    """
    status = below.look(entry.path)
    if status is None:
        raise OSError(errno.ENOENT, "was removed in the meantime", entry.path)
    if not stat.S_ISREG(status.st_mode) or status.st_size != entry.size:
        raise OSError(errno.EBUSY, "was changed in the meantime", entry.path)
    time = status.st_mtime_ns // 10**9
    if stat.S_IMODE(status.st_mode) != entry.bits or entry.mtime not in (None, time):
        return _apply_mode_and_time(below.open(entry.path), entry)
    return True
