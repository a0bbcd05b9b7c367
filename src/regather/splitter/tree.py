"""A folder as the one file that it is packed into: nothing of that is ever stored.

Headers are made when they are read, and files opened for as long as one read takes, so memory
follows the number of entries, not their size, and no number of files is too many to be open.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from regather.digest import Hasher, new_hasher
from regather.errors import RegatherError, UsageError, advice, reason, shown_path, system_errors
from regather.files.platform import UNTRUE_SIZE, closed_after, size_is_untrue
from regather.folder import MAX_ENTRIES, Entry, Folder, check, flaw_of_path, flaw_of_target
from regather.folder.checks import STAGING, EntryFlaw
from regather.folder.packing import Packing
from regather.folder.values import MAX_MTIME
from regather.manifest import MAX_MANIFEST_BYTES
from regather.names import flaw_of
from regather.splitter.original import Original, changed
from regather.tasks import interrupts_held
from regather.units import MAX_SIZE

_ENTRY_BYTES = 190
"""What an entry takes in the manifest, its path aside."""


@dataclass(frozen=True, slots=True)
class _FirstStat:
    """What the system told of a file or folder when it was first seen."""

    path: str
    mtime_ns: int
    size: int
    inode: int

    def fits(self, now: os.stat_result) -> bool:
        return (self.mtime_ns, self.size, self.inode) == _marks(now)


def _marks(status: os.stat_result) -> tuple[int, int, int]:
    size = status.st_size if stat.S_ISREG(status.st_mode) else 0
    return status.st_mtime_ns, size, status.st_ino


def _has_bytes(path: str) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return False  # told when it is read
    with system_errors(UsageError, path), closed_after(descriptor):
        return size_is_untrue(descriptor)


def _untrue(path: str) -> UsageError:
    return UsageError(f"{path}: {UNTRUE_SIZE}", help="move it away, or replace it with a copy")


class Tree(Original):
    """A folder, looked through once; see ``Original``."""

    def __init__(self, path: Path, *, follow_links: bool = False) -> None:
        """Raises UsageError, naming the entry, where something in it cannot be published."""
        with system_errors(UsageError, path):  # the current folder was removed
            self._root = os.path.abspath(path)
        self._follow = follow_links
        self.name = os.path.basename(self._root)
        if flaw := flaw_of(self.name):
            raise UsageError(f"{path}: {flaw}", help="give a folder that has a name")
        self._entries: list[Entry] = []
        self._seen: list[_FirstStat] = []
        try:
            top = os.stat(self._root)
            self._top = _FirstStat(self._root, *_marks(top))
            with interrupts_held() as self._interrupts:
                self._look_through("", {(top.st_dev, top.st_ino)})
        except OSError as error:
            where = error.filename or path
            raise UsageError(f"{where}: {reason(error).lower()}", help=advice(error)) from None
        self._packing = Packing(self.name, self._entries)
        self.size = self._packing.size
        self._hashes: _FileHashes | None = None
        if sum(len(e.path) + _ENTRY_BYTES for e in self._entries) > MAX_MANIFEST_BYTES:
            raise self._too_many()
        if self.size > MAX_SIZE:
            raise UsageError(f"{path}: holds {self.size} bytes", help="publish a smaller folder")

    def _too_many(self) -> UsageError:
        return UsageError(
            f"{self._root}: has too many files for one manifest ({len(self._entries)} or more)",
            help="publish its folders one by one, or pack some of them",
        )

    # -- looking through ------------------------------------------------------------------

    def _look_through(self, below: str, above: set[tuple[int, int]]) -> None:
        """Note all that is in a folder; ``above`` are the folders that it is in, by inode."""
        folder = os.path.join(self._root, below)
        with os.scandir(folder) as found:
            names = sorted(entry.name for entry in found)
        for name in names:
            self._interrupts.check()
            path = f"{below}{name}"
            full = os.path.join(self._root, path)
            if flaw := self._flaw_of_path(path):
                raise UsageError(f"{shown_path(full)}: {flaw}", help="rename it, or move it away")
            if len(self._entries) >= MAX_ENTRIES:
                raise self._too_many()
            status = self._status(full)
            mode = f"{stat.S_IMODE(status.st_mode) & 0o777:03o}"
            self._seen.append(_FirstStat(full, *_marks(status)))
            if stat.S_ISLNK(status.st_mode):
                self._entries.append(self._link(path, full))
            elif stat.S_ISDIR(status.st_mode):
                inode = (status.st_dev, status.st_ino)
                if inode in above:
                    raise UsageError(f"{full}: is a link to a folder that contains it")
                self._entries.append(Entry(path, "folder", mode))
                self._look_through(path + "/", above | {inode})
            elif stat.S_ISREG(status.st_mode):
                if not os.access(full, os.R_OK):
                    raise UsageError(f"{full}: cannot be read: permission denied")
                if not status.st_size and _has_bytes(full):
                    raise _untrue(full)
                mtime = status.st_mtime_ns // 10**9
                if abs(mtime) > MAX_MTIME:
                    raise UsageError(
                        f"{full}: its modification time is outside the range of a manifest "
                        f"({mtime} s)",
                        help="touch it",
                    )
                self._entries.append(Entry(path, "file", mode, status.st_size, mtime=mtime))
            else:
                raise UsageError(
                    f"{full}: is neither a file nor a folder nor a link", help="move it away"
                )

    def _status(self, full: str) -> os.stat_result:
        try:
            return os.stat(full) if self._follow else os.lstat(full)
        except OSError as error:
            if not self._follow or not os.path.islink(full):
                raise
            why = "points to itself" if error.errno == errno.ELOOP else "leads nowhere"
            raise UsageError(
                f"{full}: is a link that {why}", help="remove it, or omit --follow-links"
            ) from None

    def _flaw_of_path(self, path: str) -> str:
        try:
            path.encode()
        except UnicodeEncodeError:
            return "has a name that is not UTF-8"
        if path == STAGING:
            return "belongs to an unfinished download"
        return flaw_of_path(path)

    def _link(self, path: str, full: str) -> Entry:
        target = os.readlink(full)
        if flaw := flaw_of_target(path, target):
            raise UsageError(
                f"{full}: is a link that {flaw} ({target!r})",
                help="remove it, or use --follow-links to publish the files that links point to",
            )
        return Entry(path, "link", target=target)

    # -- Original -------------------------------------------------------------------------

    def read(self, offset: int, into: memoryview) -> int:
        """See Original."""
        end = min(offset + len(into), self.size)
        for start, stop, what in self._packing.spans(offset, end):
            view = into[start - offset : stop - offset]
            if isinstance(what, bytes):
                view[:] = what
            else:
                self._read_file(what, start - self._packing.folder.entries[what].offset, view)
        return max(0, end - offset)

    def _read_file(self, number: int, offset: int, into: memoryview) -> None:
        seen = self._seen[number]
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(seen.path, flags if self._follow else flags | os.O_NOFOLLOW)
        except OSError:
            raise changed(seen.path, "read") from None
        with closed_after(descriptor):
            if not seen.fits(os.fstat(descriptor)):
                raise changed(seen.path, "read")
            while into:
                count = os.preadv(descriptor, [into], offset)
                if count == 0:
                    if seen.fits(os.fstat(descriptor)):
                        raise _untrue(seen.path)
                    raise changed(seen.path, "read")
                into, offset = into[count:], offset + count

    def hashers(self) -> list[Hasher]:
        """One that hashes file by file."""
        self._hashes = _FileHashes(self._packing.folder)
        return [self._hashes]

    def folder(self) -> Folder | None:
        """See Original."""
        assert self._hashes is not None
        folder = self._packing.hashed(self._hashes.found())
        try:
            check(folder, self.size)
        except EntryFlaw as flaw:  # nothing that we would not take ourselves
            raise RegatherError(f"{self._seen[flaw.at].path}: {flaw}") from None
        return folder

    def check_unchanged(self, done: str) -> None:
        """See Original; what was added or removed changed the folder that it is in."""
        look = os.stat if self._follow else os.lstat
        kinds = [entry.kind for entry in self._entries]
        # A file says more than the folder in which another took its place.
        files = [s for s, k in zip(self._seen, kinds, strict=True) if k != "folder"]
        folders = [s for s, k in zip(self._seen, kinds, strict=True) if k == "folder"]
        for seen in (*files, *folders, self._top):
            try:
                same = seen.fits(os.stat(seen.path) if seen is self._top else look(seen.path))
            except OSError:
                same = False
            if not same:
                raise changed(seen.path, done)

    def check_outside(self, path: Path) -> None:
        """See Original."""
        inner, root = os.path.realpath(path), os.path.realpath(self._root)
        if inner == root or inner.startswith(root.rstrip("/") + "/"):
            raise UsageError(
                f"{path}: is inside the source folder", help="choose a place outside it"
            )


class _FileHashes:
    """Hashes each file of a packed folder, as all its bytes come by in order."""

    def __init__(self, folder: Folder) -> None:
        self._all = ["" if e.size or e.kind != "file" else _EMPTY for e in folder.entries]
        self._left = ((n, e) for n, e in enumerate(folder.entries) if e.size)
        self._at = 0
        self._hasher = new_hasher()
        self._number = -1
        self._entry: Entry | None = None
        self._next()

    def _next(self) -> None:
        self._number, self._entry = next(self._left, (-1, None))

    def update(self, data: bytes | memoryview, /) -> None:
        """Take in what comes next in the packed file."""
        for view in self._of_files(memoryview(data)):
            self._hasher.update(view)
            entry = self._entry
            assert entry is not None
            if self._at == entry.end:
                self._all[self._number] = self._hasher.digest().hex()
                self._hasher = new_hasher()
                self._next()

    def _of_files(self, view: memoryview) -> Iterator[memoryview]:
        end = self._at + len(view)
        while self._entry is not None and self._entry.offset < end:
            first = max(self._entry.offset, self._at)
            stop = min(self._entry.end, end)
            begin = end - len(view)
            self._at = stop
            yield view[first - begin : stop - begin]
            if stop == end:
                break
        self._at = end

    def digest(self) -> bytes:
        """Nothing: what it found is told by ``found``."""
        return b""

    def found(self) -> list[str]:
        """The hash of each entry that is a file, in hexadecimal."""
        return self._all


_EMPTY = new_hasher().digest().hex()
