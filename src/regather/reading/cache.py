"""Verified pieces in memory: what was used last stays, up to a number of bytes."""

from __future__ import annotations

from collections import Counter, OrderedDict


class Cache:
    """Pieces by running number, the least recently used one dropped first; not thread-safe.

    A piece that is *pinned* is waited for, or in use, and is never dropped. What is pinned counts
    for the limit and is the only thing that can exceed it.
    """

    def __init__(self, limit: int) -> None:
        """``limit`` is in bytes; 0 keeps nothing that is not pinned."""
        self.limit = limit
        self.size = 0
        """Bytes of the pieces that are here."""
        self._pieces: OrderedDict[int, memoryview] = OrderedDict()
        self._pins: Counter[int] = Counter()

    def __contains__(self, number: object) -> bool:
        return number in self._pieces

    def get(self, number: int) -> memoryview | None:
        """The piece, if it is here; it then counts as used last."""
        piece = self._pieces.get(number)
        if piece is not None:
            self._pieces.move_to_end(number)
        return piece

    def put(self, number: int, piece: memoryview) -> None:
        """Take in a verified piece; others may be dropped for it."""
        if number not in self._pieces:
            self._pieces[number] = piece
            self.size += len(piece)
            self._trim()

    def pinned(self, number: int) -> bool:
        """Whether somebody waits for the piece or uses it."""
        return number in self._pins

    def pin(self, number: int) -> None:
        """Keep a piece, from when it comes on, until ``unpin`` was called as often."""
        self._pins[number] += 1

    def unpin(self, number: int) -> None:
        """The opposite of ``pin``."""
        self._pins[number] -= 1
        if self._pins[number] <= 0:
            del self._pins[number]
            self._trim()

    def clear(self) -> None:
        """Drop everything."""
        self._pieces.clear()
        self.size = 0

    def _trim(self) -> None:
        if self.size <= self.limit:
            return
        for number in [n for n in self._pieces if n not in self._pins]:
            self.size -= len(self._pieces.pop(number))
            if self.size <= self.limit:
                return
