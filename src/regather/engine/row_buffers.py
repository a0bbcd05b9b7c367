"""Verified pieces that wait in memory until their row is computed.

They stay in the buffers that they came in, for a copy costs as much as decoding; whoever received
them goes on with another buffer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from regather.files.platform import new_buffer


class RowBuffers:
    """A budget of buffers of one size, and the pieces in them, by (fragment, row); thread-safe."""

    def __init__(
        self,
        room: int,
        size: int,
        is_obsolete: Callable[[int, int], bool],
        *,
        grows: bool = False,
    ) -> None:
        """``room`` buffers of ``size`` bytes; ``is_obsolete`` says that a piece has no use now.

        With ``grows`` there are more where all of them have a use: none is refused.
        """
        self._grows = grows
        self._room = room
        self._size = size
        self._is_obsolete = is_obsolete
        self._lock = threading.RLock()
        self._kept: dict[tuple[int, int], memoryview] = {}
        self._free: list[memoryview] = []
        self._refused = 0

    @property
    def in_use(self) -> bool:
        """Whether it has memory, with or without a piece in it."""
        return bool(self._kept or self._free)

    def hold(self, fragment: int, row: int, buffer: memoryview, length: int) -> memoryview | None:
        """Keep the piece at the start of ``buffer``; None: no room.

        What comes back is a buffer of the same size to go on with.
        """
        with self._lock:
            if (fragment, row) in self._kept:
                return buffer
            if not self._free and self._room <= 0:
                self._make_room()
            if self._free:
                other = self._free.pop()
            elif self._room > 0 or self._grows:
                self._room -= 1
                other = new_buffer(self._size)
            else:
                return None
            self._kept[fragment, row] = buffer[:length]
            return other

    def get(self, fragment: int, row: int) -> memoryview | None:
        """The piece, if it waits here; it stays until ``release``."""
        return self._kept.get((fragment, row))

    def release(self, fragments: Iterable[int], row: int) -> None:
        """The row is through: its buffers are free for others."""
        with self._lock:
            for fragment in fragments:
                self._drop((fragment, row))

    def _drop(self, piece: tuple[int, int]) -> None:
        view = self._kept.pop(piece, None)
        if view is None:
            return
        if self._grows and not self._kept:  # of many files, few compute at a time
            self._room += len(self._free) + 1
            self._free.clear()
        else:
            self._free.append(memoryview(view.obj))

    def _make_room(self) -> None:
        """Drop what came for rows that were completed without it; not at each refusal."""
        self._refused += 1
        if self._refused * 8 < len(self._kept):
            return
        self._refused = 0
        for piece in [piece for piece in self._kept if self._is_obsolete(*piece)]:
            self._drop(piece)
