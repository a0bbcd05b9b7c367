"""A small file with parity, its pieces, and what stores of it are tested with."""

from __future__ import annotations

from regather.digest import piece_hash
from regather.hashes import HASH_SIZE
from regather.model import Fragment, FragmentIndex, Layout

PIECE = 64 << 10
IDENTITY = b"i" * HASH_SIZE


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
