"""Fragments on their way to the disk: temporary names, published together."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from regather.errors import RegatherError, StorageError, UsageError, is_disk_full, reason
from regather.files.platform import (
    closed_after,
    make_folders,
    open_new,
    sync_folder,
    sync_system,
    write_all,
)
from regather.model import Layout
from regather.names import TEMPORARY, signature_name, signature_path, suffixed, temporary_suffix
from regather.splitter.previous_split import FRAGMENT_NAME, Earlier
from regather.splitter.server_folders import Placement
from regather.tasks import interrupts_held

_UNFIT = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG, errno.ELOOP)
"""What no second attempt mends: the folder is not one to write to."""
_MOST_ONE_BY_ONE = 64
"""Files that are synced one by one; of more, the whole file system is: that takes less time."""


class Sink(Protocol):
    """Takes the bytes of fragments from the pass over the file."""

    def write(self, fragment: int, offset: int, data: memoryview) -> None:
        """Take bytes of the fragment at this position, from ``offset`` in it on. Thread-safe."""
        ...


class Writer:
    """Fragments being written under temporary names; published together at the end."""

    def __init__(
        self,
        source: Path,
        out: Path,
        layout: Layout,
        placement: Placement,
        manifest_name: str,
        *,
        force: bool,
        sync: bool,
    ) -> None:
        self._layout = layout
        self._placement = placement
        self._lock = threading.Lock()
        self._open: dict[int, list[int]] = {}
        self._left = [max(f.size, 1) for f in layout.fragments]
        self._made: dict[Path, Path] = {}
        """Temporary names, and the names to come."""
        self._named: list[Path] = []
        """New names that nothing had before."""
        self._suffix = temporary_suffix()
        self._sync = sync
        self._manifests = [
            folder / manifest_name for folder in dict.fromkeys((out, *placement.folders))
        ]
        files = sum(map(len, placement.copies)) + len(self._manifests)
        self._one_by_one = files <= _MOST_ONE_BY_ONE
        try:
            make_folders(dict.fromkeys((out, *placement.folders)), sync=sync)
            leftovers = list(self._leftovers(manifest_name))
            self._earlier = Earlier(
                *(out, placement.folders, self._manifests, leftovers), force=force
            )
            for path in (*self._earlier.stale, *filter(Path.exists, self._earlier.untrue)):
                if not path.is_file() or path.samefile(source):
                    flaw = "is the file to split" if path.is_file() else "is not a regular file"
                    raise UsageError(
                        f"{path}: already exists and {flaw}", help="choose another --out"
                    )
            for path in leftovers:  # nobody else would remove them
                with contextlib.suppress(OSError):
                    path.unlink()
            for f, fragment in enumerate(layout.fragments):
                if fragment.size == 0:
                    self._descriptors(f)
                    self._written(f, 1)
        except FileExistsError as error:
            raise UsageError(
                f"{error.filename}: is a file, not a folder", help="choose another --out"
            ) from None
        except OSError as error:
            raise trouble(out, error) from error

    def _leftovers(self, manifest_name: str) -> Iterator[Path]:
        """What killed processes left under their temporary names."""
        for folder in {path.parent for path in self._manifests}:
            for path in folder.iterdir():
                name, mark, number = path.name.rpartition(TEMPORARY)
                known = FRAGMENT_NAME.fullmatch(name) or name in (
                    manifest_name,
                    signature_name(manifest_name),
                )
                if mark and known and number.isdecimal() and not _lives(int(number)):
                    yield path

    def _targets(self, fragment: int) -> list[Path]:
        name = self._layout.fragments[fragment].name
        return [self._placement.folders[i] / name for i in self._placement.copies[fragment]]

    def _descriptors(self, fragment: int) -> list[int]:
        with self._lock:
            if fragment not in self._open:
                opened = self._open[fragment] = []
                for target in self._targets(fragment):
                    part = target.with_name(target.name + self._suffix)
                    self._made[part] = target
                    opened.append(open_new(part))
            return self._open[fragment]

    def write(self, fragment: int, offset: int, data: memoryview) -> None:
        """Write bytes of a fragment into all its copies. Thread-safe. Raises OSError."""
        for descriptor in self._descriptors(fragment):
            write_all(descriptor, data, offset)
        self._written(fragment, len(data))

    def _written(self, fragment: int, size: int) -> None:
        with self._lock:
            self._left[fragment] -= size
            if self._left[fragment]:
                return
        if self._sync and self._one_by_one:  # here, while other threads go on
            for descriptor in self._open[fragment]:
                os.fsync(descriptor)
        with self._lock:
            for descriptor in self._open.pop(fragment):
                os.close(descriptor)

    def publish(self, manifest: bytes, signature: bytes) -> None:
        """Give everything its name; the manifest last, for it says that all is there.

        Its signature, if it is not empty, is there before.

        What a name stands for is on the disk before, and the names of fragments are before the
        manifest has its own: after a loss of power too it says nothing untrue.
        """
        if signature:
            for path in self._manifests:
                self._written_beside(signature_path(path), signature)
        others = list(self._made)
        manifests = [self._written_beside(path, manifest) for path in self._manifests]
        # What tells the next split whose names these are must not be lost where they are not.
        self._settle()
        with interrupts_held() as interrupts:
            interrupts.check()  # the last moment: from here on all is done
        untrue = [path for path in self._earlier.untrue if path.exists()]
        for path in untrue:
            path.unlink()
        if untrue:
            self._settle()
        self._name(others)
        wanted = {t for f in range(len(self._layout.fragments)) for t in self._targets(f)}
        for path in self._earlier.stale:
            if path not in wanted:
                path.unlink(missing_ok=True)
        for folder in self._earlier.emptied:
            with contextlib.suppress(OSError):  # it holds other things
                folder.rmdir()
        self._settle()
        self._name(manifests)
        self._settle()
        self._named.clear()

    def _name(self, parts: Iterable[Path]) -> None:
        for part in parts:
            target = self._made[part]
            part.rename(target)
            if not self._earlier.stale:
                self._named.append(target)

    def _written_beside(self, path: Path, data: bytes) -> Path:
        """Write a small file under the temporary name of ``path``, and return that."""
        part = path.with_name(suffixed(path.name, self._suffix))
        self._made[part] = path
        with os.fdopen(open_new(part), "wb") as file:
            file.write(data)
            if self._sync and self._one_by_one:
                file.flush()
                os.fsync(file.fileno())
        return part

    def _settle(self) -> None:
        """Wait until the names in all folders are on the disk; where there are many, all is."""
        if not self._sync:
            return
        folders = dict.fromkeys(path.parent for path in self._manifests)
        if self._one_by_one:
            for folder in folders:
                sync_folder(folder)
            return
        for folder in {folder.stat().st_dev: folder for folder in folders}.values():
            with closed_after(os.open(folder, os.O_RDONLY | os.O_CLOEXEC)) as descriptor:
                sync_system(descriptor)

    def discard(self) -> None:
        """Close and remove what was not published, and what was before that failed.

        Where nothing was replaced: so the same command can be given again.
        """
        for opened in self._open.values():
            for descriptor in opened:
                os.close(descriptor)
        self._open.clear()
        for path in (*reversed(self._named), *self._made):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # there, and somebody else's
        pass
    return True


def trouble(out: Path, error: OSError) -> RegatherError:
    """The error to raise where writing below ``out`` failed."""
    name = re.sub(re.escape(TEMPORARY) + r"\d+$", "", str(error.filename or out))
    if error.errno in _UNFIT:
        return UsageError(f"{name}: {reason(error).lower()}", help="choose another --out")
    help = ""
    if is_disk_full(error):
        help = "free some space or choose another --out"
    elif error.errno in (errno.EMFILE, errno.ENFILE):
        # With parity, all fragments of an erasure set are written at the same time.
        help = "raise the limit of open files (ulimit -n) or use a smaller --set-size"
    return StorageError(f"{name}: {reason(error).lower()}", help=help)
