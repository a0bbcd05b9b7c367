"""Verified pieces of any number of files in one folder, up to one number of bytes.

It is the level below memory. What is offered is written by one thread, behind those who receive;
nobody waits for the disk. Where the disk is full, fails or is slower than the network, pieces are
served without being stored, and one line says so.

    FOLDER/cache.lock                one process at a time
    FOLDER/DIGEST-GEOMETRY/NUMBER    an extent of a file (see ``extents``)

A start looks at the names and sizes of the files. ``open`` reads the records of one file's extents.
"""

from __future__ import annotations

import contextlib
import os
import re
import struct
import threading
import time
from pathlib import Path

from regather.digest import piece_hash
from regather.errors import StorageError, is_disk_full, of_system
from regather.files.platform import open_own, try_lock
from regather.model import Layout
from regather.store import extents
from regather.store.cached_file import CachedFile
from regather.store.extent_list import Extent, ExtentList
from regather.store.troubles import Tally, Troubles
from regather.store.write_queue import Order, WriteQueue
from regather.units import format_size

FREE_SHARE = 0.05
"""Of the file system: what stays free of it."""
BACKLOG = 32 << 20
"""Bytes that wait to be written at most."""
_FULL = 0.95
"""To which share of the limit it is emptied where it is full."""
_PAUSE_SECONDS = 10.0
"""How long nothing is stored after the disk failed."""
_LOCK = "cache.lock"
_FOLDER = re.compile(r"[0-9a-f]{64}-[0-9a-f]{16}")
_NUMBER = re.compile(r"[0-9]{1,9}")


class DiskCache:
    """A folder of verified pieces, for one process at a time. Close it, after all that uses it."""

    def __init__(
        self,
        folder: Path,
        limit: int,
        *,
        free_share: float = FREE_SHARE,
        backlog: int = BACKLOG,
        extent: int | None = None,
    ) -> None:
        """Take what an earlier process left in ``folder``, or make it.

        ``limit`` is in bytes, and may be changed later; ``free_share`` of the file system stays
        free. Raises StorageError where another process has the folder, or where it is no good.
        """
        self.folder = folder
        self.limit = limit
        self.tally = Tally()
        self._free_share = free_share
        self._extent = extent
        self.lock = threading.Condition()
        """Guards all below, and the files' own; nothing is read or written under it."""
        self.extents = ExtentList()
        self._files: dict[Path, CachedFile] = {}
        self._queue = WriteQueue(self.lock, backlog, self._carry_out)
        self._overrun = False
        """Whether more came than could be written, and nobody was told."""
        self._paused_until = 0.0
        self._troubles = Troubles(str(folder))
        self._descriptor = -1
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._descriptor = open_own(folder / _LOCK)
            if not try_lock(self._descriptor):
                raise StorageError(
                    f"{folder}: another process uses this cache",
                    help="name another folder, or stop that process",
                )
            self._look()
            self._make_room(0)
        except OSError as error:
            self._unlock()
            raise of_system(error, str(folder)) from error
        except BaseException:
            self._unlock()
            raise

    def _look(self) -> None:
        """Find what is there: names, sizes, and when it was last used."""
        found: list[tuple[float, Path, int]] = []
        for folder in os.scandir(self.folder):
            if not _FOLDER.fullmatch(folder.name) or not folder.is_dir(follow_symlinks=False):
                continue
            for entry in os.scandir(folder):
                if _NUMBER.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    status = entry.stat(follow_symlinks=False)
                    found.append((status.st_mtime, Path(entry.path), status.st_blocks * 512))
        for _, path, size in sorted(found):
            self.extents.add(Extent(path, max(size, extents.BLOCK)))

    # -- looking in -----------------------------------------------------------------------

    @property
    def used(self) -> int:
        """Bytes on the disk, and those that are being written: never more than ``limit``."""
        return self.extents.used

    @property
    def queued(self) -> int:
        """Bytes that wait to be written: who fetches ahead waits while there are many."""
        return self._queue.bytes

    @property
    def free_bytes(self) -> int:
        """Bytes that are free on the file system. Raises OSError."""
        status = os.fstatvfs(self._descriptor)
        return status.f_bavail * status.f_frsize

    # -- files ----------------------------------------------------------------------------

    def open(self, layout: Layout, identity: bytes) -> CachedFile:
        """The pieces of one file: the same object for the same file. For any thread.

        ``identity`` tells files of different content apart (32 bytes).
        """
        sizes = [layout.piece_size, self._per_extent(layout)]
        sizes += [number for f in layout.fragments for number in (f.size, f.set)]
        geometry = piece_hash(struct.pack(f"<{len(sizes)}Q", *sizes))[:8]
        path = self.folder / f"{identity.hex()}-{geometry.hex()}"
        with self.lock:
            if path in self._files:
                return self._files[path]
            found = self.extents.within(path)
            for extent in found:
                extent.pins += 1
        file = CachedFile(self, layout, path, self._per_extent(layout))
        claims = [(extent, _claims_of(extent, file.per_extent)) for extent in found]
        with self.lock:
            for extent in found:
                extent.pins -= 1
            if path not in self._files:
                self._files[path] = file
                for extent, places in claims:
                    file.found(extent, places)
            return self._files[path]

    def _per_extent(self, layout: Layout) -> int:
        if self._extent is None:
            return extents.pieces_for(layout.piece_size)
        return extents.pieces_for(layout.piece_size, self._extent)

    # -- writing --------------------------------------------------------------------------

    def accept(
        self, file: CachedFile, number: int, data: bytes | memoryview, digest: bytes
    ) -> bool:
        """Have a piece written, soon; False where it is not stored. Under the lock."""
        if self._paused_until <= time.monotonic():
            if self._queue.put(Order(file, number, data, digest)):
                return True
            self._overrun = True
        self.tally.dropped_bytes += len(data)
        return False

    def note_dropped(self) -> None:
        """After ``accept`` was False, under no lock: tell why, unless that is known."""
        if self._overrun:
            self._overrun = False
            what = "the disk is slower than the sources: some pieces are not kept"
            self._troubles.tell("slow", what)

    def _carry_out(self, order: Order) -> None:
        with self.lock:
            extent = order.file.extent_of(order.number)
            extent.pins += 1
        stored = self._store(order, extent)
        with self.lock:
            extent.pins -= 1
        order.file.written(order.number, stored=stored)

    def _store(self, order: Order, extent: Extent) -> bool:
        """Write one piece; False where it cannot be."""
        layout = order.file.layout
        place = order.number % order.file.per_extent
        length = len(order.data)
        with self.lock:
            needed = self.extents.needs(extent, place, extents.on_disk(length))
        stored = False
        try:
            if self._paused_until <= time.monotonic() and self._make_room(needed):
                with self.lock:
                    self.extents.grow(extent, place, needed)
                stored = self._write(order, extent, place, layout.piece_size)
        except OSError as error:
            self.tally.write_errors[error.errno or 0] += 1
            self._paused_until = time.monotonic() + _PAUSE_SECONDS
            why = (error.strerror or str(error)).lower()
            self._troubles.tell(f"error {error.errno}", f"{why}: pieces are served and not kept")
        with self.lock:  # readers count what they drop, too
            if stored:
                self.tally.stored_bytes += length
            else:
                self.tally.dropped_bytes += length
        if not stored:
            self._abandon(extent)
        return stored

    def _abandon(self, extent: Extent) -> None:
        """Give back what a write took up that failed, unless other pieces are there."""
        with self.lock:
            if extent.pins > 1 or extent.owner is None or extent.owner.holds(extent):
                return
            self.extents.freed(extent)
        with contextlib.suppress(OSError):
            _remove(extent.path)

    def _write(self, order: Order, extent: Extent, place: int, piece_size: int) -> bool:
        while True:
            try:
                extents.store(extent.path, place, piece_size, order.data, order.digest)
            except OSError as error:
                # The disk has less room than the limit: others go, as long as there are any.
                if not is_disk_full(error) or not self._drop_oldest(len(order.data), "free_space"):
                    raise
            else:
                return True

    def _make_room(self, needed: int) -> bool:
        """Drop extents until there is room for so many bytes; False where there is none.

        Raises OSError.
        """
        over = self.used + needed - self.limit
        if over > 0 and needed <= self.limit:
            self._drop_oldest(over, "size", spare=int(self.limit * (1 - _FULL)))
        if self.used + needed > self.limit:
            return False
        status = os.fstatvfs(self._descriptor)
        kept = int(self._free_share * status.f_blocks * status.f_frsize)
        lacking = kept + needed - status.f_bavail * status.f_frsize
        if lacking <= 0 or self._drop_oldest(lacking, "free_space") >= lacking:
            return True
        if needed:
            share = f"{self._free_share:.0%} of the file system ({format_size(kept)})"
            what = f"less than {share} is free: pieces are served and not kept"
            self._troubles.tell("free", what)
        return False

    def _drop_oldest(self, wanted: int, why: str, *, spare: int = 0) -> int:
        """Drop extents of so many bytes, as far as they may go; return how many it were.

        ``spare`` bytes more go with them, no more than that. Raises OSError.
        """
        victims: list[Extent] = []
        dropped: list[tuple[CachedFile, list[int]]] = []
        with self.lock:
            for extent in self.extents.oldest():
                if wanted <= 0 and extent.size > wanted + spare:
                    break
                victims.append(extent)
                wanted -= extent.size
            for extent in victims:
                self.extents.remove(extent)
                if extent.owner is not None:
                    dropped.append((extent.owner, extent.owner.lost(extent)))
        freed = 0
        try:
            for extent in victims:
                _remove(extent.path)
                with self.lock:
                    freed += extent.size
                    self.tally.evicted_bytes[why] += extent.size
                    self.extents.freed(extent)
        finally:
            for file, numbers in dropped:
                file.tell(numbers)
        return freed

    # -- the end --------------------------------------------------------------------------

    def settle(self, queued: int = 0) -> None:
        """Wait until so few bytes wait to be written; for who fetches more than readers want."""
        self._queue.settle(queued)

    def close(self) -> None:
        """Write what waits, and close. What is there stays for the next process."""
        self._queue.close()
        self._unlock()

    def _unlock(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


def _claims_of(extent: Extent, count: int) -> dict[int, bytes]:
    try:
        return extents.claims(extent.path, count)
    except OSError:  # it cannot be read: nothing of it is there
        return {}


def _remove(path: Path) -> None:
    """Remove an extent, and the folder after its last one. Raises OSError."""
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    with contextlib.suppress(OSError):
        path.parent.rmdir()
