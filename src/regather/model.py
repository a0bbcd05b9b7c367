"""What a file, its fragments and its sources are: pure values, no I/O.

A *file* of ``size`` bytes is the concatenation of its data *fragments*. A fragment is cut into
*pieces* of ``piece_size`` bytes, the last one shorter; pieces start anew in every fragment. A
piece is named by the position of its fragment in the layout and its number inside the fragment,
both from 0, or by one running number over all fragments (``Layout.number``).

An *erasure set* is some consecutive data fragments and the parity fragments computed from them; a
*row* of it are the pieces with the same number in each.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Literal, NewType

from msgspec import Struct, field

from regather.hashes import HASH_SIZES

MIN_PIECE_SIZE = 1 << 20
MAX_PIECE_SIZE = 1 << 26
"""Bounds the memory that a hostile manifest can claim: one buffer a request in flight."""
MAX_SET = 256
"""Most fragments of an erasure set, data and parity: the number of elements of the code's field."""
_MOST_PIECES = 1 << 18
"""Kept under this by choosing larger pieces: 1 TiB in 4 MiB pieces is 8 MiB of hashes."""


def piece_size_for(size: int) -> int:
    """The piece size for a file of ``size`` bytes: a power of two, 1 MiB at least."""
    piece_size = MIN_PIECE_SIZE
    while size > piece_size * _MOST_PIECES and piece_size < MAX_PIECE_SIZE:
        piece_size *= 2
    return piece_size


FragmentIndex = NewType("FragmentIndex", int)
"""The number of a fragment in the manifest, from 1: data fragments first, in order, then parity."""
FragmentPosition = NewType("FragmentPosition", int)
"""The place of a fragment in a layout, from 0: what the planner and the engine count by."""


class Fragment(Struct, frozen=True):
    """One fragment: what a server hosts as one plain file."""

    index: FragmentIndex
    name: str
    offset: int
    """Where it stands in the file, in bytes (data fragments)."""
    size: int
    hashes: bytes = b""
    """Piece hashes, packed, each as long as the layout's hash; empty where none are known."""
    kind: Literal["data", "parity"] = "data"
    set: int = 0
    """The erasure set that it belongs to, from 1; 0: none."""


class ManifestSource(Struct, frozen=True):
    """A source as a manifest names it."""

    url: str
    fragments: frozenset[FragmentIndex] | None = None
    """The fragments that it is known to hold; None where it must be asked."""


class Source(Struct, frozen=True):
    """A place that holds fragments, each as ``url`` + the fragment's name."""

    url: str
    fragments: frozenset[FragmentPosition] | None = None
    """The fragments that it is known to hold; None where it must be asked."""
    objects: dict[FragmentIndex, str] = field(default_factory=dict)
    """Fragments that stand under another URL than ``url`` + name, by fragment index."""
    validators: dict[FragmentIndex, str] = field(default_factory=dict)
    """The entity tag or date that each fragment had when it was first seen, by fragment index."""


class ErasureSet(Struct, frozen=True):
    """Data fragments and their parity, as positions in the layout, in the order of the code."""

    data: tuple[int, ...]
    parity: tuple[int, ...]
    rows: int
    """Pieces of its longest fragment, and of each parity fragment."""


class Layout:
    """The geometry of a file: its fragments, data in order and then parity, and their pieces."""

    def __init__(
        self,
        size: int,
        piece_size: int,
        fragments: tuple[Fragment, ...],
        hash_algorithm: str = "blake3",
    ) -> None:
        self.size, self.piece_size, self.fragments = size, piece_size, fragments
        self.hash_algorithm = hash_algorithm
        """What the piece hashes are, a key of ``HASH_SIZES``; those of manifests are BLAKE3."""
        first = [0]
        members: dict[int, tuple[list[int], list[int]]] = {}
        for position, fragment in enumerate(fragments):
            first.append(first[-1] + -(-fragment.size // piece_size))
            if fragment.set:
                pair = members.setdefault(fragment.set, ([], []))
                pair[fragment.kind == "parity"].append(position)
        self.first_pieces = tuple(first)
        """The running number of each fragment's first piece, and after it the number of pieces."""
        self.data_count = sum(f.kind == "data" for f in fragments)
        """How many of the fragments are data."""
        self.sets = tuple(
            ErasureSet(tuple(data), tuple(parity), max(map(self.pieces_of, data), default=0))
            for data, parity in members.values()
        )
        positions = {number: at for at, number in enumerate(members)}
        self.set_of = tuple(positions[f.set] if f.set else -1 for f in fragments)
        """By fragment: the position of its erasure set in ``sets``; -1 where it is in none."""

    @property
    def piece_count(self) -> int:
        """How many pieces there are, those of parity fragments (the last ones) included."""
        return self.first_pieces[-1]

    @property
    def data_pieces(self) -> int:
        """How many pieces the file itself has."""
        return self.first_pieces[self.data_count]

    @property
    def largest_piece(self) -> int:
        """Bytes of the largest piece that there is: ``piece_size`` is only what it may be."""
        return min(self.piece_size, max((f.size for f in self.fragments), default=0))

    def is_data(self, fragment: int) -> bool:
        """Whether the fragment at this position is a slice of the file."""
        return fragment < self.data_count

    def pieces_of(self, fragment: int) -> int:
        """How many pieces the fragment at this position has."""
        return self.first_pieces[fragment + 1] - self.first_pieces[fragment]

    def number(self, fragment: int, piece: int) -> int:
        """The running number of a piece over all fragments."""
        return self.first_pieces[fragment] + piece

    def locate(self, number: int) -> tuple[int, int]:
        """The (fragment, piece) that a running number stands for."""
        fragment = bisect_right(self.first_pieces, number) - 1
        return fragment, number - self.first_pieces[fragment]

    def offset(self, fragment: int, piece: int) -> int:
        """Where a piece stands in the file, in bytes; parity pieces stand behind its end."""
        return self.fragments[fragment].offset + piece * self.piece_size

    def offset_of(self, number: int) -> int:
        """Where the piece with this running number stands; see ``offset``."""
        return self.offset(*self.locate(number))

    def length_of(self, number: int) -> int:
        """How many bytes the piece with this running number has."""
        return self.length(*self.locate(number))

    def span(self, fragment: int, start: int, end: int) -> tuple[int, int]:
        """The bytes inside the fragment that its pieces ``start`` up to ``end`` stand on."""
        return start * self.piece_size, min(end * self.piece_size, self.fragments[fragment].size)

    def length(self, fragment: int, piece: int) -> int:
        """How many bytes a piece has."""
        return min(self.piece_size, self.fragments[fragment].size - piece * self.piece_size)

    def hash_of(self, fragment: int, piece: int) -> bytes | None:
        """The hash that a piece must have; None where nothing is known to verify with."""
        size = HASH_SIZES[self.hash_algorithm]
        at = piece * size
        return self.fragments[fragment].hashes[at : at + size] or None
