"""Pieces that have no hash to verify them with: the first that comes is the one that stays."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regather.store.base import PieceStore


Delivered = Callable[[int, int, bytes], None]
"""Told a source, the running number of a piece that it sent, and the hash of what it sent."""
_TURNS = 16


class FirstWriteWins:
    """Places each piece once: whoever comes second might send other bytes.

    Those of the first were perhaps looked at already. For any thread.
    """

    def __init__(self, destination: PieceStore, delivered: Delivered | None) -> None:
        self._destination = destination
        self._delivered = delivered
        self._placed: set[int] = set()
        self._turns = [threading.Lock() for _ in range(_TURNS)]

    def place(self, source: int, number: int, view: memoryview, digest: bytes) -> None:
        """Place what ``source`` sent for piece ``number``, unless that is there already."""
        if self._delivered is not None:
            self._delivered(source, number, digest)
        with self._turns[number % _TURNS]:
            if number not in self._placed:
                self._destination.place(number, view, digest)
                self._placed.add(number)
