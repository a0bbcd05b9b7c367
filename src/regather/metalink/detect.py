"""Tells a metalink from anything else by how it begins."""

from __future__ import annotations

import re

MAX_METALINK_BYTES = 64 << 20
_LOOKED_AT = 4096
"""Bytes; what comes before the root must fit."""
_BOM = b"\xef\xbb\xbf"
_BOMS_OF_UTF16 = b"\xff\xfe", b"\xfe\xff"
_BLANK = re.compile(rb"\s*+")
_ROOT = re.compile(rb"<(?:!DOCTYPE\s++)?(?:\w++:)?metalink[\s>]")
_SKIPPED = ((b"<!--", b"-->"), (b"<?", b"?>"))
"""Comments and processing instructions, the XML declaration among them."""


def looks_like_metalink(start: bytes) -> bool:
    """Whether a document that begins like this is a metalink. Takes linear time."""
    start = start[:_LOOKED_AT].removeprefix(_BOM)
    if start.startswith(_BOMS_OF_UTF16):
        start = start.decode("utf-16", "ignore").encode()
    at = 0
    while True:
        at = _after_blanks(start, at)
        for opening, closing in _SKIPPED:
            if start.startswith(opening, at):
                at = start.find(closing, at + len(opening))
                break
        else:
            return _ROOT.match(start, at) is not None
        if at < 0:
            return False
        at += len(closing)


def _after_blanks(text: bytes, at: int) -> int:
    match = _BLANK.match(text, at)
    assert match is not None
    return match.end()
