"""What is downloaded: a layout, the sources of its fragments, and what verifies it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from regather.checksum import STRENGTH, Checksum
from regather.digest import file_identity
from regather.folder import Folder
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


class DownloadTarget(Struct, frozen=True):
    """What to download, from where."""

    name: str
    layout: Layout
    sources: tuple[Source, ...]
    identity: bytes
    """Tells partial downloads of different content apart."""
    digest: str
    """Identity of the file in hexadecimal; empty where there is no manifest to verify with."""
    signed_by: str = ""
    """The id of the trusted key that its manifest is signed by; empty: that was not asked for."""
    checksums: tuple[Checksum, ...] = ()
    """What the whole file must hash to."""
    notes: tuple[str, ...] = ()
    """What people ought to be told."""
    doubts: dict[str, str] = {}
    """By URL of a source: why its answer may not be the file, as its server describes it."""
    folder: Folder | None = None
    """What the file holds, where it is a packed folder."""
    streamed: bool = False
    """Its size is not known, nor can be: it comes in one go (see stream.py)."""
    first: int = 0
    """So many sources are asked first, the others where those do not do; 0: all at once."""
    lasting: bool = True
    """Whether a later run can tell that the sources still have what this one began with."""

    @property
    def whole(self) -> bool:
        """Whether the sources host the file as it is, not in fragments."""
        fragments = self.layout.fragments
        return not self.digest and len(fragments) == 1 and fragments[0].name == self.name

    @property
    def hashed(self) -> bool:
        """Whether the pieces of the file have hashes to verify them with."""
        empty = not self.layout.size and not self.streamed
        return empty or any(f.hashes for f in self.layout.fragments)

    @property
    def verified_by(self) -> str:
        """What the file is verified with, in a word or two; empty where with nothing at all.

        What the servers themselves say of the file does not count.
        """
        if self.digest:
            return "manifest"
        known = [c for c in self.checksums if not c.told_by_server]
        if any(f.hashes for f in self.layout.fragments):
            return f"{self.layout.hash_algorithm} of the pieces"
        return ", ".join(c.algorithm for c in known)


# -- a file that is hosted whole: a layout of one fragment --------------------------------------

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
