"""How much room the pieces of a session have, and how far ahead one reader asks."""

from __future__ import annotations

import threading

from msgspec import Struct

from regather.model import Layout

_ROW_BYTES = 32 << 20
"""Room for pieces that are there for the sake of others in their row; one row at least."""
_MOST_ROWS = 8
_WINDOW_BYTES = 32 << 20
WINDOW_PIECES = 64


class RoomSizes(Struct, frozen=True):
    """For one file."""

    memory: int
    """Bytes for the pieces that readers want: one piece at least."""
    total: int
    """Bytes for those and the rows."""
    rows: int
    """How many rows may be wanted for the sake of one piece each."""
    window: int
    """How far one of many readers asks in front of what it has, in pieces."""
    most: int
    """The same for the only reader."""


def room_sizes(
    layout: Layout, memory: int, row_bytes: int = _ROW_BYTES, *, parity: bool = False
) -> RoomSizes:
    """The sizes where readers may have ``memory`` bytes, and rows ``row_bytes``.

    With ``parity``, that counts as well.
    """
    largest = max(layout.largest_piece, 1)
    width = max((len(s.data) + parity * len(s.parity) for s in layout.sets), default=0)
    rows = max(1, min(_MOST_ROWS, row_bytes // (largest * max(width, 1))))
    memory = max(memory, largest)
    window = max(1, min(WINDOW_PIECES, _WINDOW_BYTES // largest, memory // 2 // largest))
    return RoomSizes(memory, memory + rows * width * largest, rows, window, memory // largest)


class ReaderShare:
    """How much readers may hold in all: those of one file, or of several."""

    def __init__(self, limit: int, *, fair: bool = False) -> None:
        """``limit`` is in bytes. ``fair``: no file has more than is left for others, or one piece.

        So where the sources of a file are silent, there is room for the readers of others.
        """
        self.limit = self._left = limit
        self._fair = fair
        self._lock = threading.Lock()

    def grow(self, more: int) -> None:
        """There is more room."""
        with self._lock:
            self.limit += more
            self._left += more

    def take(self, length: int, held: int) -> bool:
        """Take ``length`` bytes, if there are as many, for a file whose readers hold ``held``."""
        with self._lock:
            left = self._left - length
            enough = left >= 0 and not (self._fair and held and held + length > left)
            self._left -= length * enough
        return enough

    def give_back(self, length: int) -> None:
        """Nobody holds these bytes any more."""
        with self._lock:
            self._left += length
