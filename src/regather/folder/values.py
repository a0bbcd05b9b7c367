"""The entries of a folder, and its identity."""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Iterator
from typing import Annotated, Literal

from blake3 import blake3
from msgspec import Meta, Struct

from regather.units import MAX_SIZE

_TAG = b"regather folder identity v1\x00"
_NUMBERS = struct.Struct("<BHqQQII")
_KINDS = {"file": 0, "folder": 1, "link": 2}
_BATCH = 1000

_Bytes = Annotated[int, Meta(ge=0, le=MAX_SIZE)]
MAX_MTIME = 2**53 - 1
"""What numbers in JSON hold exactly; before 1970 as far."""
_BEFORE_1970 = -(2**63)
"""In an identity, what -1 stands for, which is what means there that no time is told."""


class Entry(Struct, frozen=True, gc=False, omit_defaults=True):
    """A file, folder or link in a folder, as in the manifest, which needs the least memory."""

    path: Annotated[str, Meta(min_length=1, max_length=4096)]
    """Relative to the folder, with slashes."""
    kind: Literal["file", "folder", "link"] = "file"
    mode: Annotated[str, Meta(pattern="^[0-7]{3}$")] = ""
    """Permission bits in octal, of files and folders; never set-user-ID or similar bits."""
    size: _Bytes = 0
    """Bytes of a file."""
    offset: _Bytes = 0
    """The offset of its bytes in the packed file; 0 if it has none."""
    mtime: Annotated[int, Meta(ge=-MAX_MTIME, le=MAX_MTIME)] | None = None
    """The modification time of a file, in whole seconds since 1970; None: unknown."""
    blake3: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")] | None = None
    """The BLAKE3 of a file, as ``b3sum`` prints it."""
    target: Annotated[str, Meta(max_length=4096)] = ""
    """The target of a symbolic link, relative to the folder of the link."""

    @property
    def bits(self) -> int:
        """The permission bits as a number."""
        return int(self.mode or "0", 8)

    @property
    def end(self) -> int:
        """The end of its bytes in the packed file."""
        return self.offset + self.size


class Folder(Struct, frozen=True):
    """All entries of a folder. Each folder comes before its own entries."""

    entries: tuple[Entry, ...] = ()

    @property
    def files(self) -> int:
        """How many files it has."""
        return sum(e.kind == "file" for e in self.entries)

    @property
    def size(self) -> int:
        """Bytes of all its files."""
        return sum(e.size for e in self.entries)

    def identity(self, content: str) -> str:
        """Identity of the folder, in hexadecimal: pins names, modes, times, links and content.

        ``content`` is the identity of the packed file, in hexadecimal.
        """
        hasher = blake3(_TAG + bytes.fromhex(content) + struct.pack("<Q", len(self.entries)))
        for first in range(0, len(self.entries), _BATCH):
            hasher.update(b"".join(map(_packed, self.entries[first : first + _BATCH])))
        return hasher.hexdigest()

    def clashes(self) -> Iterator[tuple[str, str]]:
        """Pairs of paths that are one and the same to systems that ignore case or composition."""
        seen: dict[str, str] = {}
        for entry in self.entries:
            path = entry.path
            key = path.lower() if path.isascii() else _key(path)
            if key in seen:
                yield seen[key], path
            seen[key] = path


def _packed(entry: Entry) -> bytes:
    path, target = entry.path.encode(), entry.target.encode()
    mtime = {None: -1, -1: _BEFORE_1970}.get(entry.mtime, entry.mtime)
    numbers = _NUMBERS.pack(
        _KINDS[entry.kind], entry.bits, mtime, entry.size, entry.offset, len(path), len(target)
    )
    return numbers + path + target + bytes.fromhex(entry.blake3 or "")


def _key(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())
