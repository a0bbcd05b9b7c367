"""A file that is hosted whole, as a layout of one fragment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from regather.checksum import STRENGTH
from regather.digest import file_identity
from regather.model import (
    MAX_PIECE_SIZE,
    Fragment,
    FragmentIndex,
    FragmentPosition,
    Layout,
    Source,
    piece_size_for,
)

if TYPE_CHECKING:
    from regather.metalink.values import Pieces

_ONLY = FragmentIndex(1)
_MAX_PIECES = 1 << 20
_MIN_PIECE = 1 << 10


def source_at(url: str, validator: str = "") -> Source:
    """A source of the whole file, as the one fragment of a layout."""
    return Source(
        url,
        frozenset((FragmentPosition(0),)),
        objects={_ONLY: url},
        validators={_ONLY: validator} if validator else {},
    )


def whole_layout(name: str, size: int, pieces: Pieces | None = None) -> Layout:
    """The layout of a file that is hosted whole; with the hashes of its pieces, if known."""
    if pieces is None:
        return Layout(size, piece_size_for(size), (Fragment(_ONLY, name, 0, size),))
    fragment = Fragment(_ONLY, name, 0, size, pieces.hashes)
    return Layout(size, pieces.length, (fragment,), pieces.algorithm)


def usable_pieces(pieces: Sequence[Pieces], size: int) -> Pieces | None:
    """The piece hashes to verify with; None where none are of use."""
    fitting = [
        p
        for p in pieces
        if p.algorithm != "md5"
        and _MIN_PIECE <= p.length <= MAX_PIECE_SIZE
        and size <= p.length * _MAX_PIECES
    ]
    return min(fitting, key=lambda p: STRENGTH.index(p.algorithm), default=None)


def pieces_identity(size: int, pieces: Pieces) -> bytes:
    """Tells partial downloads of content with other piece hashes apart."""
    return file_identity(size, pieces.length, (pieces.algorithm.encode(), pieces.hashes))
