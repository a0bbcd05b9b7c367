"""The packed file: all files of a folder one after the other, each behind its header, as a tar.

Whoever downloads relies on the offsets in the manifest alone. That there are headers between the
files means that ``cat`` and ``tar`` can put a folder together where there is nothing else.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence

import msgspec

from regather.folder.values import Entry, Folder

_BLOCK = 512
END = bytes(2 * _BLOCK)
"""What a tar ends with."""


def header(name: str, entry: Entry) -> bytes:
    """What stands before the bytes of an entry of the folder called ``name``."""
    import tarfile  # downloads of single files begin without

    types = {"file": tarfile.REGTYPE, "folder": tarfile.DIRTYPE, "link": tarfile.SYMTYPE}
    info = tarfile.TarInfo(f"{name}/{entry.path}")
    info.type = types[entry.kind]
    info.mode = 0o777 if entry.kind == "link" else entry.bits
    info.size = entry.size
    info.mtime = entry.mtime or 0
    info.linkname = entry.target
    return info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")


class Packing:
    """Where all stands in the packed file of a folder."""

    def __init__(self, name: str, entries: Sequence[Entry]) -> None:
        """``entries`` are those of the folder; their offsets are made here."""
        self._name = name
        self._starts: list[int] = []
        """Where the header of each entry begins."""
        placed: list[Entry] = []
        at = 0
        for entry in entries:
            self._starts.append(at)
            at += len(header(name, entry))
            placed.append(msgspec.structs.replace(entry, offset=at if entry.size else 0))
            at += -(-entry.size // _BLOCK) * _BLOCK
        self.folder = Folder(tuple(placed))
        self._end = at
        self.size = at + len(END)
        """Bytes of the packed file."""

    @classmethod
    def if_alike(cls, name: str, folder: Folder) -> Packing | None:
        """That of a folder which was packed as it is here; None where it was packed otherwise."""
        packing = cls(name, folder.entries)
        both = zip(packing.folder.entries, folder.entries, strict=True)
        return packing if all(a.offset == b.offset for a, b in both) else None

    def hashed(self, hashes: Sequence[str]) -> Folder:
        """The folder, with the BLAKE3 of each entry that is a file, in hexadecimal."""
        replaced = msgspec.structs.replace
        return Folder(
            tuple(
                replaced(e, blake3=h) if e.kind == "file" else e
                for e, h in zip(self.folder.entries, hashes, strict=True)
            )
        )

    def spans(self, offset: int, end: int) -> Iterator[tuple[int, int, bytes | int]]:
        """What the bytes from ``offset`` up to ``end`` are, in order and without a gap.

        Each is (start, end, bytes of a header or of zeros), or (start, end, number of the entry
        whose file the bytes belong to).
        """
        number = max(bisect_right(self._starts, offset) - 1, 0)
        entries = self.folder.entries
        while offset < end:
            if offset >= self._end or not entries:
                yield offset, end, bytes(end - offset)
                return
            entry, start = entries[number], self._starts[number]
            following = self._starts[number + 1] if number + 1 < len(entries) else self._end
            if entry.size and entry.offset <= offset < entry.end:
                stop = min(end, entry.end)
                yield offset, stop, number
            elif entry.size and offset >= entry.end:
                stop = min(end, following)
                yield offset, stop, bytes(stop - offset)
            else:
                stop = min(end, entry.offset if entry.size else following)
                yield offset, stop, header(self._name, entry)[offset - start : stop - start]
            offset = stop
            if offset >= following:
                number += 1
