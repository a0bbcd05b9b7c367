"""What a partial download has already: one 32-byte hash a verified piece, in a file beside it.

    offset 0   magic, 8 bytes
           8   size, piece size, number of pieces: unsigned 64-bit little-endian
          32   identity of the download, 32 bytes
          64   CRC-32 of the bytes before, 4 bytes, padded to 128
         128   a record a piece: its hash, or zeros while it is not there

A record is written after the piece's bytes, each with one ``pwrite``, so a killed process leaves
whole records or none. After a power failure the file system may have kept a record and not the
bytes: therefore a record is a claim, and resuming hashes the bytes again. Nothing needs to be
synced while the download runs.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from typing import TYPE_CHECKING

from regather.files.platform import is_named, open_own, write_all
from regather.hashes import HASH_SIZE

if TYPE_CHECKING:
    from regather.model import Layout

_MAGIC = b"RGJRNL1\n"
_HEADER = struct.Struct("<8sQQQ32s")
_RECORDS = 128


def _header(size: int, piece_size: int, pieces: int, identity: bytes) -> bytes:
    header = _HEADER.pack(_MAGIC, size, piece_size, pieces, identity)
    header += struct.pack("<I", zlib.crc32(header))
    return header.ljust(_RECORDS, b"\0")


def _claims(records: bytes) -> dict[int, bytes]:
    blank = bytes(HASH_SIZE)
    return {
        number: record
        for number in range(len(records) // HASH_SIZE)
        if (record := records[number * HASH_SIZE : (number + 1) * HASH_SIZE]) != blank
    }


def peek(path: str, layout: Layout, identity: bytes) -> set[int]:
    """The pieces that a journal claims to have, of this very download; locks and changes nothing.

    Raises OSError where it cannot be read.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_RECORDS + layout.piece_count * HASH_SIZE)
    except FileNotFoundError:
        return set()
    if data[:_RECORDS] != _header(layout.size, layout.piece_size, layout.piece_count, identity):
        return set()
    return set(_claims(data[_RECORDS:]))


class Journal:
    """The journal of one partial file; locked while open."""

    def __init__(
        self,
        path: str,
        layout: Layout,
        identity: bytes,
        *,
        folder: int | None = None,
    ) -> None:
        """Open or create it and take the lock. Raises BlockingIOError where it is locked.

        ``path`` is relative to ``folder``, a folder's descriptor, if one is given.
        """
        self._pieces = layout.piece_count
        self._header = _header(layout.size, layout.piece_size, layout.piece_count, identity)
        self._descriptor = -1
        while not self._take(path, folder):
            self.close()

    def _take(self, path: str, folder: int | None) -> bool:
        """Open and lock it; False where it lost its name before it was locked.

        Whoever ends a download removes the journal and then lets go of it: a lock on that keeps
        nobody out, for others find none and make a new one.
        """
        self._descriptor = open_own(path, folder=folder)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return is_named(self._descriptor, path, folder=folder)
        except BaseException:
            self.close()
            raise

    def claims(self) -> dict[int, bytes] | None:
        """The pieces that are said to be there, with their hashes.

        None where the journal is of another download, older than this format, or damaged.
        """
        if os.pread(self._descriptor, _RECORDS, 0) != self._header:
            return None
        return _claims(os.pread(self._descriptor, self._pieces * HASH_SIZE, _RECORDS))

    def claim(self, number: int) -> bytes:
        """The record of one piece. Raises OSError."""
        return os.pread(self._descriptor, HASH_SIZE, _RECORDS + number * HASH_SIZE)

    @property
    def empty(self) -> bool:
        """Whether nothing was ever written to it."""
        return os.fstat(self._descriptor).st_size == 0

    @property
    def blank(self) -> bool:
        """Whether there is no download that it could be of. Raises OSError."""
        return not os.pread(self._descriptor, _RECORDS, 0).strip(b"\0")

    def start_anew(self) -> None:
        """Forget all claims and write the header of this download. Raises OSError."""
        os.ftruncate(self._descriptor, 0)
        write_all(self._descriptor, self._header, 0)
        os.ftruncate(self._descriptor, _RECORDS + self._pieces * HASH_SIZE)

    def record(self, number: int, digest: bytes) -> None:
        """Claim the piece with this running number. Raises OSError.

        A record is as long as BLAKE3. Other hashes are cut or filled up: they are looked up in the
        layout, and the record only says that the piece is there.
        """
        record = digest[:HASH_SIZE].ljust(HASH_SIZE, b"\0")
        write_all(self._descriptor, record, _RECORDS + number * HASH_SIZE)

    def withdraw(self, number: int) -> None:
        """Take a claim back that proved wrong. Raises OSError."""
        self.record(number, bytes(HASH_SIZE))

    def close(self) -> None:
        """Close the file and drop the lock."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)
