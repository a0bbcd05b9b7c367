"""What came of pieces before their requests broke off: the same source goes on from there.

A path that breaks every connection after less than a piece would never bring one otherwise. Only
the source that sent the beginning sends the rest. The piece is verified as a whole: where that
fails nobody knows which answer was wrong, so nobody is blamed, and the piece is never put together
again from what that source sends. Without a hash the rest has to repeat the end of the beginning.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import NamedTuple

_MOST_BYTES = 64 << 20
"""So much is kept in all; what was kept first goes first."""
_STEPS = 64
_LEAST_BYTES = 16 << 10
"""An answer has to bring this share of a piece, and so many bytes, to count as progress."""
_REPEATED = 16 << 10
"""Bytes that are asked for again where there is no hash."""


class PieceAtSource(NamedTuple):
    """A piece, as a source sends it."""

    source: int
    fragment: int
    piece: int


class Rests:
    """Beginnings of pieces, kept in memory. For any thread."""

    def __init__(self) -> None:
        self._kept: OrderedDict[PieceAtSource, bytes] = OrderedDict()
        self._bytes = 0
        self._spoiled: set[PieceAtSource] = set()
        self._lock = threading.Lock()

    def keep(self, place: PieceAtSource, begun: memoryview, length: int) -> bool:
        """Keep what came of a piece of ``length`` bytes; returns whether that is progress."""
        with self._lock:
            before = len(self._kept.get(place, b""))
            least = max(_LEAST_BYTES, length // _STEPS)
            if place in self._spoiled or len(begun) < before + least:
                return False
            self._drop(place)
            self._kept[place] = bytes(begun)
            self._bytes += len(begun)
            while self._bytes > _MOST_BYTES:
                self._drop(next(iter(self._kept)))
            return True

    def begun(self, place: PieceAtSource) -> bytes:
        """What is there of a piece; empty: nothing."""
        return self._kept.get(place, b"") if self._kept else b""

    def over(self, place: PieceAtSource, *, spoiled: bool = False) -> None:
        """A piece was put together; ``spoiled``: it was wrong."""
        with self._lock:
            self._drop(place)
            if spoiled:
                self._spoiled.add(place)

    def _drop(self, place: PieceAtSource) -> None:
        self._bytes -= len(self._kept.pop(place, b""))


class Begun:
    """The piece that a request goes on with."""

    def __init__(self, rests: Rests, place: PieceAtSource, *, hashed: bool) -> None:
        self._rests = rests
        self._place = place
        self._beginning = rests.begun(place)
        repeated = 0 if hashed else min(_REPEATED, len(self._beginning))
        self.at = len(self._beginning) - repeated
        """So many bytes of it need not be asked for."""

    def into(self, buffer: memoryview) -> None:
        """Put them where the rest will follow."""
        buffer[: self.at] = self._beginning[: self.at]

    def ended(self, view: memoryview, *, right: bool) -> bool:
        """The piece is there; returns whether it may be used, or should come whole from now on.

        ``right`` says that it has the hash that it must have, or that there is none.
        """
        right = right and view[self.at : len(self._beginning)] == self._beginning[self.at :]
        self._rests.over(self._place, spoiled=not right)
        return right
