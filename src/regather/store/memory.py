"""Verified pieces in memory, up to a number of bytes that is never exceeded."""

from __future__ import annotations

from collections.abc import Sequence

from regather.model import Layout
from regather.store.bounded import Bounded


class MemoryStore(Bounded):
    """A PieceStore in memory."""

    def __init__(self, layout: Layout, limit: int) -> None:
        """``limit`` is in bytes. Pieces are dropped one by one."""
        super().__init__(layout, limit, extent=layout.piece_size)
        self._pieces: dict[int, bytes] = {}

    def _put(self, number: int, data: memoryview, digest: bytes) -> None:
        self._pieces[number] = bytes(data)

    def _get(self, number: int, at: int, into: memoryview) -> bool:
        piece = self._pieces.get(number)
        if piece is None:  # it was closed meanwhile
            return False
        into[:] = memoryview(piece)[at : at + len(into)]
        return True

    def view(self, number: int) -> memoryview | None:
        """The bytes of a piece that is there; they stay as they are when it is dropped."""
        with self._changed:
            if not self._here[number]:
                return None
            self._extents.move_to_end(number // self._per_extent)
            return memoryview(self._pieces[number])

    def _drop(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            self._pieces.pop(number, None)

    def close(self) -> None:
        """Forget everything."""
        self.cancel_waiting()
        with self._changed:
            self._here[:] = bytes(len(self._here))
            self._extents.clear()
            self._pieces.clear()
            self._used = 0
