"""A small file with parity, its pieces, and what stores of it are tested with."""

from __future__ import annotations

from typing import Protocol

from regather.digest import piece_hash
from regather.hashes import HASH_SIZE
from regather.model import Fragment, FragmentIndex, Layout
from regather.store.base import PieceMissing

PIECE = 64 << 10
IDENTITY = b"i" * HASH_SIZE


class Pieces(Protocol):
    """A store of pieces that knows its layout."""

    layout: Layout

    def has(self, number: int) -> bool:
        """Whether it is there."""

    def read(self, number: int, at: int, into: memoryview) -> None:
        """Fill ``into``; raises PieceMissing."""


def content_of(layout: Layout, number: int) -> bytes:
    """The bytes of a piece, unlike those of any other."""
    length = layout.length(*layout.locate(number))
    return (b"%07d," % number * (length // 8 + 1))[:length]


def small_layout(pieces: int, *, parity: int = 0, last: int = PIECE, hashed: bool = True) -> Layout:
    """One data fragment, its last piece of ``last`` bytes, and one of parity behind it."""
    size = (pieces - 1) * PIECE + last

    def made(hashes: tuple[bytes, ...]) -> Layout:
        data = Fragment(FragmentIndex(1), "f1", 0, size, hashes[0], "data", int(parity > 0))
        coded = Fragment(FragmentIndex(2), "f2", size, parity * PIECE, hashes[1], "parity", 1)
        return Layout(size, PIECE, (data, coded) if parity else (data,))

    bare = made((b"", b""))
    hashes = [piece_hash(content_of(bare, n)) for n in range(bare.piece_count)]
    return made((b"".join(hashes[:pieces]), b"".join(hashes[pieces:]))) if hashed else bare


def got(store: Pieces, number: int) -> bytes | None:
    """What the store serves, whole; None where it has to be fetched."""
    found = read(store, number)
    assert found is not None or not store.has(number)
    return found


def read(store: Pieces, number: int) -> bytes | None:
    """The same where other threads may place the piece at any moment."""
    into = memoryview(bytearray(len(content_of(store.layout, number))))
    try:
        store.read(number, 0, into)
    except PieceMissing:
        return None
    return bytes(into)


def here(store: Pieces) -> set[int]:
    """The pieces that are there."""
    return {n for n in range(store.layout.piece_count) if store.has(n)}
