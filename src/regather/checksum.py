"""Checksums of whole files, as people and servers write them. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from regather.errors import UsageError
from regather.hashes import HASH_SIZES

STRENGTH = (
    *("sha512", "blake3", "sha256", "sha384", "blake2b", "blake2s", "sha224", "sha1", "md5"),
)
"""What is preferred where there is a choice: strong ones that are fast here first."""
_WRITTEN = r"([A-Za-z0-9_-]+)[:=]([0-9A-Fa-f]+)"


class Checksum(Struct, frozen=True):
    """What a whole file must hash to."""

    algorithm: str
    """A key of ``hashes.HASH_SIZES``."""
    digest: bytes
    origin: str = ""
    """Who says so; empty: the user."""

    @property
    def told_by_server(self) -> bool:
        """Whether it is only a server of the file that says so."""
        return "://" in self.origin

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest.hex()}"


def algorithm_of(name: str) -> str:
    """The key of ``hashes.HASH_SIZES`` that a name means, like ``SHA-256``; empty: none."""
    plain = name.lower().replace("-", "").replace("_", "")
    return plain if plain in HASH_SIZES else ""


def parse_checksum(text: str) -> Checksum:
    """Read ``ALGO:HEX`` or ``ALGO=HEX``. Raises UsageError."""
    match = re.fullmatch(_WRITTEN, text.strip())
    if match is None:
        raise UsageError(
            f"not a checksum: {text!r}", help="write ALGO:HEX, for example sha256:9f86..."
        )
    algorithm = algorithm_of(match[1])
    if not algorithm:
        raise UsageError(
            f"{match[1]}: not a supported hash algorithm",
            help=f"use one of {', '.join(HASH_SIZES)}",
        )
    digits = 2 * HASH_SIZES[algorithm]
    if len(match[2]) != digits:
        raise UsageError(
            f"not a {algorithm}: {match[2]!r} has {len(match[2])} digits",
            help=f"give all {digits} hexadecimal digits",
        )
    return Checksum(algorithm, bytes.fromhex(match[2]))


def agree(some: Iterable[Checksum], others: Iterable[Checksum]) -> bool:
    """Whether no two of them are different hashes of the same kind."""
    known = {c.algorithm: c.digest for c in some}
    return all(known.get(c.algorithm, c.digest) == c.digest for c in others)


def strongest(checksums: Iterable[Checksum]) -> Checksum | None:
    """The one that says most; None where there is none."""
    return min(checksums, key=lambda c: STRENGTH.index(c.algorithm), default=None)
