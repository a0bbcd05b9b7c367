"""Read-ahead: how much more to fetch when a file is read in order."""

from __future__ import annotations

from dataclasses import dataclass

_STREAMS = 8
"""Places of a file that are read in order at the same time, as the columns of a table are."""
_SHARE = 8
"""Read-ahead is at most this part of what was read in order: what is in vain stays little, also
where it is one column of a table that is read in order, piece by piece, and then another."""


@dataclass(slots=True)
class _InOrder:
    number: int
    stop: int = -1
    length: int = 0


class ReadAhead:
    """Watches reads, and tells how far ahead of each one to fetch."""

    def __init__(self, piece_size: int, limit: int) -> None:
        """``limit`` is the most to fetch ahead, in bytes."""
        self._piece_size = piece_size
        self._limit = limit
        self._streams = [_InOrder(number) for number in range(_STREAMS)]
        """The one that was read last at the end."""

    def after(self, start: int, stop: int) -> tuple[int, int]:
        """Bytes ``start`` up to ``stop`` are read; returns how many to fetch behind ``stop``.

        Before that, the number of the stream of reads: that which is forgotten for a new one is
        used again. Whole pieces: none at the first read in a place, then ever more.
        """
        stream = next((s for s in self._streams if s.stop == start), None)
        most = 0
        if stream is None:
            stream = self._streams[0]
            stream.length = 0
        else:
            most = min((stream.length + stop - start) // _SHARE, self._limit)
        self._streams.remove(stream)
        self._streams.append(stream)
        stream.stop = stop
        stream.length += stop - start
        return stream.number, most // self._piece_size * self._piece_size
