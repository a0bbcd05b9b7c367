"""Metalinks (RFC 5854), and what servers say in the same spirit in heads (RFC 6249, 9530).

Bytes to values and back, without any I/O; the client makes layouts of them.
"""

from __future__ import annotations

from regather.metalink.detect import looks_like_metalink
from regather.metalink.headers import Links, digests, links, offered_name
from regather.metalink.parts import path_flaw
from regather.metalink.read import (
    MAX_METALINK_BYTES,
    read_metalink,
)
from regather.metalink.values import Metalink, MetalinkFile, Mirror, Pieces
from regather.metalink.write import write_metalink

__all__ = [
    "MAX_METALINK_BYTES",
    "Links",
    "Metalink",
    "MetalinkFile",
    "Mirror",
    "Pieces",
    "digests",
    "links",
    "looks_like_metalink",
    "offered_name",
    "path_flaw",
    "read_metalink",
    "write_metalink",
]
