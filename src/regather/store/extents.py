"""Extents: consecutive pieces of a file, in one file on the disk. The disk cache is made of them.

    offset 0      a record a piece: its hash, or zeros while the piece is not there
           4096   the pieces, each at its place from the first one of the extent on

A piece's bytes are written before its record, so a killed process leaves no record without bytes.
After a power failure there may be one: therefore a record is a claim, and the piece is hashed again
when it is first served. An extent is dropped by removing its file: at once, or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from regather.files.platform import closed_after, open_own, read_all, write_all
from regather.hashes import HASH_SIZE

BLOCK = 4096
"""What a file system gives out at least, mostly; also the room for the records."""
MOST_PIECES = BLOCK // HASH_SIZE
_EXTENT = 16 << 20
_BLANK = bytes(HASH_SIZE)


def pieces_for(piece_size: int, extent: int = _EXTENT) -> int:
    """How many pieces an extent has."""
    return max(1, min(MOST_PIECES, extent // piece_size))


def on_disk(length: int) -> int:
    """Bytes that a piece takes up on the disk."""
    return -(-length // BLOCK) * BLOCK


def start_of(place: int, piece_size: int) -> int:
    """Where a piece stands in the file of its extent."""
    return BLOCK + place * piece_size


def claims(path: Path, count: int) -> dict[int, bytes]:
    """The records of the pieces that are said to be there, by their place. Raises OSError."""
    with open_to_read(path) as descriptor:
        records = os.pread(descriptor, count * HASH_SIZE, 0)
    found = (records[at : at + HASH_SIZE] for at in range(0, len(records), HASH_SIZE))
    return {
        place: record
        for place, record in enumerate(found)
        if len(record) == HASH_SIZE and record != _BLANK
    }


def store(path: Path, place: int, piece_size: int, data: bytes | memoryview, digest: bytes) -> None:
    """Write a piece and then its record; make the file and its folder if need be.

    Raises OSError. The record before is taken back first, so that a part is never claimed.
    """
    try:
        descriptor = open_own(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = open_own(path)
    with closed_after(descriptor):
        withdraw(descriptor, place)
        write_all(descriptor, data, start_of(place, piece_size))
        record = digest[:HASH_SIZE].ljust(HASH_SIZE, b"\0")
        write_all(descriptor, record, place * HASH_SIZE)


def withdraw(descriptor: int, place: int) -> None:
    """Take the claim of a piece back, where there is one. Raises OSError."""
    if os.pread(descriptor, HASH_SIZE, place * HASH_SIZE) not in (b"", _BLANK):
        write_all(descriptor, _BLANK, place * HASH_SIZE)


def forget(path: Path, place: int) -> None:
    """Take the claim of a piece back that proved wrong, if the disk lets us."""
    with suppress(OSError), closed_after(os.open(path, os.O_RDWR | os.O_CLOEXEC)) as descriptor:
        withdraw(descriptor, place)


def load(path: Path, place: int, piece_size: int, at: int, into: memoryview) -> None:
    """Fill ``into`` with the bytes of a piece from ``at`` on. Raises OSError."""
    with open_to_read(path) as descriptor:
        read_all(descriptor, into, start_of(place, piece_size) + at)


@contextmanager
def open_to_read(path: Path) -> Iterator[int]:
    """The descriptor of an extent's file. Raises OSError."""
    with closed_after(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)) as descriptor:
        yield descriptor
