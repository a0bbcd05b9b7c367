"""Hashes: of pieces, of the whole file, and the identity that a digest on the command line pins."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Protocol

from blake3 import blake3

_IDENTITY_TAG = b"regather file identity v1\x00"


class Hasher(Protocol):
    """An incremental hash, as hashlib and blake3 both have it."""

    def update(self, data: bytes | memoryview, /) -> object:
        """Take in more bytes."""
        ...

    def digest(self) -> bytes:
        """Return the hash of all bytes so far."""
        ...


def piece_hash(data: bytes | memoryview) -> bytes:
    """BLAKE3 of one piece (what ``b3sum`` prints, as 32 raw bytes)."""
    return blake3(data).digest()


def piece_hasher(algorithm: str) -> Callable[[bytes | memoryview], bytes]:
    """What hashes one piece with ``algorithm``, a key of ``hashes.HASH_SIZES``."""
    if algorithm == "blake3":
        return piece_hash

    import hashlib

    def other(data: bytes | memoryview) -> bytes:
        return hashlib.new(algorithm, data, usedforsecurity=False).digest()

    return other


def new_hasher(algorithm: str = "blake3") -> Hasher:
    """An incremental hash of a whole file; ``algorithm`` is a key of ``hashes.HASH_SIZES``."""
    if algorithm == "blake3":
        return blake3()
    import hashlib

    return hashlib.new(algorithm, usedforsecurity=False)


def file_identity(size: int, piece_size: int, hashes: Iterable[bytes]) -> bytes:
    """The identity of a file: BLAKE3 over a domain tag, size, piece size and all piece hashes.

    ``hashes`` are the packed piece hashes of the data fragments, in order. Sizes are in bytes,
    hashed as unsigned 64-bit little-endian numbers.
    """
    hasher = blake3(_IDENTITY_TAG + struct.pack("<QQ", size, piece_size))
    for packed in hashes:
        hasher.update(packed)
    return hasher.digest()
