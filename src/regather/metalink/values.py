"""What a metalink says: pure values."""

from __future__ import annotations

from msgspec import Struct

from regather.checksum import Checksum


class Pieces(Struct, frozen=True):
    """Hashes of the pieces of a file, each of ``length`` bytes, the last one shorter."""

    algorithm: str
    """A key of ``hashes.HASH_SIZES``."""
    length: int
    hashes: bytes
    """Packed, in order."""


class Mirror(Struct, frozen=True):
    """One URL of a file."""

    url: str
    priority: int = 999_999
    """From 1, the best."""
    location: str = ""
    """Country (ISO 3166-1), lower case, or empty."""


class MetalinkFile(Struct, frozen=True):
    """One file of a metalink."""

    name: str
    """A plain name, or a relative path with ``/``; never one that leads elsewhere."""
    size: int | None = None
    checksums: tuple[Checksum, ...] = ()
    pieces: tuple[Pieces, ...] = ()
    mirrors: tuple[Mirror, ...] = ()
    """Of schemes that some transport serves, the best first."""
    others: int = 0
    """How many URLs of other kinds there were."""
    signed: bool = False
    notes: tuple[str, ...] = ()
    """What is left out because it cannot be, for people."""
    lost: bool = False
    """Whether there were hashes, and not all of them can be used."""


class Metalink(Struct, frozen=True):
    """A metalink document."""

    files: tuple[MetalinkFile, ...]
    version: int = 4
    notes: tuple[str, ...] = ()
    """What of the document is left out, for people."""
