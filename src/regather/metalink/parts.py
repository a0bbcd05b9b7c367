"""Values of a metalink, each read or told why it cannot be."""

from __future__ import annotations

import re
from collections.abc import Mapping

from msgspec import Struct, field

from regather.hashes import HASH_SIZES
from regather.metalink.values import Pieces
from regather.names import flaw_of
from regather.units import MAX_SIZE

LOWEST_PRIORITY = 999_999
_BEST_PREFERENCE = 100
_MAX_NOTES = 20
_DRIVE = re.compile(r"[A-Za-z]:")


class Unusable(Exception):
    """Why a value or a file is left out."""


class Notes(Struct):
    """What is left out and why; the first of them in words."""

    lines: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, error: Unusable) -> None:
        """Note one more."""
        self.count += 1
        if self.count <= _MAX_NOTES:
            self.lines.append(f"the metalink's {error}: left out")

    def all(self) -> tuple[str, ...]:
        """The lines, the last one of which tells how many more there were."""
        more = self.count - len(self.lines)
        return (
            *self.lines,
            *([f"the metalink has {more} more errors of this kind"] if more else ()),
        )


class PieceHashes(Struct):
    """Hashes of pieces as they are written, with the numbers that some give them."""

    algorithm: str
    length: str
    hashes: list[tuple[str | None, str]] = field(default_factory=list)


def path_flaw(name: str) -> str:
    """Say why ``name`` is no path below a folder, or return an empty string."""
    if name.startswith(("/", "\\")):
        return "is an absolute path"
    if _DRIVE.match(name):
        return "names a drive"
    return next((flaw for part in name.split("/") if (flaw := flaw_of(part))), "")


def number(text: str, what: str, most: int) -> int:
    """Read a number up to ``most``. Raises Unusable."""
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > most:
        raise Unusable(f"{what} is {text[:40]!r}, not a valid number")
    return int(text)


def digest(algorithm: str, text: str) -> bytes:
    """Read a hash in hexadecimal digits. Raises Unusable."""
    try:
        read = bytes.fromhex(text)
    except ValueError:
        read = b""
    if len(read) != HASH_SIZES[algorithm]:
        raise Unusable(f"{algorithm} is {text[:80]!r}, not a hash of this type")
    return read


def priority(attributes: Mapping[str, str]) -> int:
    """Read the rank of a URL, 1 for the best. Raises Unusable."""
    if value := attributes.get("priority", ""):
        return max(1, number(value, "priority", LOWEST_PRIORITY))
    if value := attributes.get("preference", ""):
        # Version 3: 100 is the best. Some publish more, which then is as good.
        return 101 - min(_BEST_PREFERENCE, number(value, "preference", MAX_SIZE))
    return LOWEST_PRIORITY


def packed(pieces: PieceHashes, size: int | None) -> Pieces | None:
    """The pieces, or None where they are of a hash that is not known here, or without a size.

    All of them or none: who verifies a part of a file has verified nothing. Raises Unusable.
    """
    if not pieces.algorithm:
        return None
    length = number(pieces.length, "the length of pieces", MAX_SIZE)
    if size is None:
        return None
    if not length:
        raise Unusable("the piece length is missing")
    expected = -(-size // length)
    if len(pieces.hashes) != expected:
        raise Unusable(
            f"{len(pieces.hashes)} piece hashes are not the {expected} that {size} bytes need"
        )
    numbered = [
        (at if place is None else number(place, "piece", MAX_SIZE), text)
        for at, (place, text) in enumerate(pieces.hashes)
    ]
    numbered.sort(key=lambda pair: pair[0])
    if [place for place, _ in numbered] != list(range(expected)):
        raise Unusable("a piece number is missing")
    packed = b"".join(digest(pieces.algorithm, text) for _, text in numbered)
    return Pieces(pieces.algorithm, length, packed)
