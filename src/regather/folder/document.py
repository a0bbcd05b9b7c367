"""The part of a manifest that describes a folder: bytes to Folder and back."""

from __future__ import annotations

from typing import Annotated

import msgspec

from regather.folder.checks import MAX_ENTRIES, EntryFlaw, check
from regather.folder.values import Entry, Folder
from regather.jsontext import JsonDecoder

_SHOWN = 60


class FolderFlaw(ValueError):
    """What is wrong with the description of a folder, told with the path of the value."""


class _FolderDocument(msgspec.Struct):
    digest: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    entries: list[Entry]


_read = JsonDecoder(_FolderDocument)


def folder_bytes(folder: Folder, digest: str) -> bytes:
    """The end of a manifest, its closing brace included: an entry a line, for people and diff."""
    encode = msgspec.json.Encoder().encode
    lines = b",\n".join(b"   " + encode(entry) for entry in folder.entries)
    inside = b"\n" + lines + b"\n  " if lines else b""
    head = f',\n "folder": {{\n  "digest": "{digest}",\n  "entries": ['.encode()
    return head + inside + b"]\n }\n}\n"


def folder_of(raw: msgspec.Raw, content: str, size: int) -> Folder:
    """Read and validate; raises FolderFlaw.

    ``content`` is the identity of the packed file in hexadecimal, ``size`` its bytes.
    """
    # Every entry begins with a brace, so this bounds what decoding them takes.
    if bytes(raw).count(b"{") > MAX_ENTRIES + 1:
        raise FolderFlaw(f"folder.entries contains more than {MAX_ENTRIES} braces")
    try:
        document = _read(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        what = str(error) if "`$" in str(error) else f"{error} - at `$`"
        raise FolderFlaw(what.replace("`$", "`$.folder")) from None
    folder = Folder(tuple(document.entries))
    try:
        check(folder, size)
    except EntryFlaw as flaw:
        if flaw.at < 0:
            raise FolderFlaw(f"folder {flaw}") from None
        path = folder.entries[flaw.at].path[:_SHOWN]
        raise FolderFlaw(f"folder.entries[{flaw.at}] {path!r} {flaw}") from None
    if folder.identity(content) != document.digest:
        raise FolderFlaw("folder.digest does not match its entries: the manifest was modified")
    return folder
