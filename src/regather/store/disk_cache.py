"""Verified pieces on the disk, up to a number of bytes, for the next time that somebody asks.

It is a partial file and its journal, without an end: a sparse file as long as all pieces together,
and a record a piece. What happens in which order makes every moment safe to be killed at:

    a piece comes      its bytes are written, then its record
    a piece is dropped its record is removed, then its bytes (a hole is punched where they were)

So bytes without a record may be left, which a start gives back to the file system, and never a
record without bytes. After a power failure there may be: therefore a record is a claim, and a piece
is hashed again when it is first served. A start reads the records and no piece.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from regather.digest import piece_hasher
from regather.errors import StorageError, is_disk_full, of_system
from regather.files.platform import open_own, punch_hole, read_all, write_all
from regather.model import Layout
from regather.store.bounded import EXTENT, Bounded
from regather.store.journal import Journal

PIECES_SUFFIX = ".regather-cache"
RECORDS_SUFFIX = ".regather-cache-journal"


class DiskCache(Bounded):
    """A PieceStore in a folder, for one file and one process at a time."""

    def __init__(
        self, folder: Path, layout: Layout, identity: bytes, limit: int, *, extent: int = EXTENT
    ) -> None:
        """Open what an earlier process left in ``folder``, or begin anew.

        ``identity`` tells files of different content apart (32 bytes); ``limit`` is in bytes.
        Raises StorageError where another process has it open, where the folder is no good, and
        where its file system cannot punch holes.
        """
        super().__init__(layout, limit, extent=extent)
        self.path = folder / f"{identity.hex()}{PIECES_SUFFIX}"
        self._hash = piece_hasher(layout.hash_algorithm)
        self._trusted = bytearray(layout.piece_count)
        """Whether this process has placed the piece, or hashed it."""
        self._descriptor = -1
        try:
            self._journal = Journal(
                str(folder / f"{identity.hex()}{RECORDS_SUFFIX}"), layout, identity
            )
        except BlockingIOError:
            raise StorageError(
                f"{self.path}: another process uses this cache", help="name another folder"
            ) from None
        except OSError as error:
            raise of_system(error, str(folder)) from error
        try:
            self._open()
        except OSError as error:
            self.close()
            raise of_system(error, str(self.path)) from error
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        last = self.layout.piece_count - 1
        length = self.layout.offset_of(last) + self.layout.length_of(last) if last >= 0 else 0
        self._descriptor = open_own(self.path)
        claims = self._journal.claims()
        if claims is None or os.fstat(self._descriptor).st_size != length:
            claims = {}
            os.ftruncate(self._descriptor, 0)
            self._journal.start_anew()
            os.ftruncate(self._descriptor, length)
        numbers = sorted(claims)
        try:
            self._punch_all_but(numbers, length)
        except OSError as error:
            raise StorageError(
                f"{self.path}: room in a file cannot be given back there ({error.strerror})",
                help="name a folder on another file system",
            ) from error
        for number in numbers:
            self._insert(number)
            self._here[number] = True
        self._used = sum(map(self.layout.length_of, numbers))
        while self._used > self.limit and self.shed():  # it was higher the last time
            pass

    def _punch_all_but(self, numbers: Iterable[int], end: int) -> None:
        """Give back what no record claims: a process may have been killed in between."""
        at = 0
        for number in numbers:
            offset = self.layout.offset_of(number)
            if offset > at:
                punch_hole(self._descriptor, at, offset - at)
            at = offset + self.layout.length_of(number)
        if end > at:
            punch_hole(self._descriptor, at, end - at)

    def _put(self, number: int, data: memoryview, digest: bytes) -> None:
        try:
            while True:
                try:
                    write_all(self._descriptor, data, self.layout.offset_of(number))
                    self._journal.record(number, digest)
                    break
                except OSError as error:
                    # The disk has less room than the limit: others go, as long as there are any.
                    if not is_disk_full(error) or not self.shed():
                        raise of_system(error, str(self.path)) from error
        except BaseException:
            self._drop((number,))
            raise
        self._trusted[number] = True

    def _get(self, number: int, at: int, into: memoryview) -> bool:
        offset = self.layout.offset_of(number)
        try:
            if self._trusted[number]:
                read_all(self._descriptor, into, offset + at)
                return True
            whole = memoryview(bytearray(self.layout.length_of(number)))
            read_all(self._descriptor, whole, offset)
            record = self._journal.claim(number)
        except OSError:  # a bad spot of the disk: the piece can be had elsewhere
            return False
        digest = self._hash(whole)
        if digest != (self.layout.hash_of(*self.layout.locate(number)) or record):
            return False
        self._trusted[number] = True
        into[:] = whole[at : at + len(into)]
        return True

    def _drop(self, numbers: Sequence[int]) -> None:
        # What fails here leaves a claim that proves wrong, or room that the next start gives back.
        for number in numbers:
            with contextlib.suppress(OSError):
                self._journal.withdraw(number)
        for number in numbers:
            with contextlib.suppress(OSError):
                punch_hole(
                    self._descriptor, self.layout.offset_of(number), self.layout.length_of(number)
                )

    def close(self) -> None:
        """Close; what is there stays for the next process."""
        self.cancel_waiting()
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1
        self._journal.close()
