"""File names: which are plain, and how a suffix fits into the 255 bytes that file systems allow."""

from __future__ import annotations

import hashlib

MAX_NAME_BYTES = 255
MANIFEST_SUFFIX = ".regather.json"


def flaw_of(name: str) -> str:
    """Say why ``name`` is no plain file name, or return an empty string.

    Plain means: usable inside any folder, and never able to leave it.
    """
    if not name or name in (".", ".."):
        return "is empty or a folder reference"
    if "/" in name or "\\" in name:
        return "holds a path separator"
    if any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in name):
        return "holds a control character"
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return "is longer than 255 bytes" if len(encoded) > MAX_NAME_BYTES else ""


def suffixed(name: str, suffix: str) -> str:
    """Append ``suffix``; a name too long for it is shortened and marked with a digest."""
    encoded = name.encode("utf-8", "surrogateescape")
    room = MAX_NAME_BYTES - len(suffix.encode())
    if len(encoded) <= room:
        return name + suffix
    mark = "~" + hashlib.blake2s(encoded, digest_size=4).hexdigest()
    return encoded[: room - len(mark)].decode("utf-8", "ignore") + mark + suffix
