"""Pieces that are somewhere on this machine already, hashed on all cores."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import local as ThreadLocal

from regather.digest import piece_hasher
from regather.model import Layout
from regather.tasks import pool

Read = Callable[[int, memoryview], None]
"""Fills a view with what stands at an offset of the file, in bytes, or raises OSError."""
PlacePiece = Callable[[int, memoryview, bytes], None]
"""Takes a piece: its running number, its bytes and their hash."""


def matching(
    layout: Layout,
    numbers: Sequence[int],
    read: Read,
    place: PlacePiece | None = None,
    *,
    claims: Mapping[int, bytes] | None = None,
) -> Iterator[tuple[int, bool]]:
    """Tell of each piece whether what ``read`` brings has its hash.

    Without hashes in the layout those in ``claims`` count. Those that have it are handed to
    ``place``, in the thread that read them, before their hash is told. A piece that cannot be read
    is none. Raises what ``place`` raises.
    """
    own = ThreadLocal()
    piece_hash = piece_hasher(layout.hash_algorithm)

    def check(number: int) -> bool:
        if not hasattr(own, "buffer"):
            own.buffer = memoryview(bytearray(layout.largest_piece))
        fragment, piece = layout.locate(number)
        view: memoryview = own.buffer[: layout.length(fragment, piece)]
        offset = layout.offset(fragment, piece)
        try:
            read(offset, view)
        except OSError:  # it ends before, or the disk has a bad spot there
            return False
        digest = piece_hash(view)
        if digest != (layout.hash_of(fragment, piece) or (claims or {}).get(number)):
            return False
        if place is not None:
            place(number, view, digest)
        return True

    with pool(os.cpu_count() or 1) as threads:
        yield from zip(numbers, threads.map(check, numbers), strict=True)
