"""The pieces of a file in at most 1024 bins: how full each is, and who delivered it."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from itertools import groupby

from regather.page.samples import COMPUTED, HERE_BEFORE, NOBODY, FileSample

BINS = 1024
_LOOKED_AT = 8
"""Pieces of a bin that are looked at for who delivered it."""
BY_NOBODY, BY_COMPUTING, BY_EARLIER_RUN = -1, -2, -3


class PieceBar:
    """The bar of one file; only bins that changed are looked at again."""

    def __init__(self) -> None:
        self._filled: list[int] = []
        self._by: list[int] = []

    def document(self, file: FileSample, ids: Sequence[int]) -> dict[str, object]:
        """The bar, for JSON; ``ids`` has, by the file's number of a server, that on the page."""
        count = file.layout.data_pieces
        bins = min(count, BINS)
        if len(self._filled) != bins:
            self._filled, self._by = [0] * bins, [BY_NOBODY] * bins
        here, fill = file.here, bytearray(bins)
        for n in range(bins):
            start, end = count * n // bins, count * (n + 1) // bins
            filled = here.count(1, start, end)
            if filled != self._filled[n]:
                self._filled[n] = filled
                self._by[n] = _deliverer(file, ids, start, end)
            if filled:
                fill[n] = max(1, 255 * filled // (end - start))
        return {
            "count": count,
            "done": here.count(1, 0, count),
            "bins": bins,
            "fill": base64.b64encode(fill).decode(),
            "by": [[who, len(list(run))] for who, run in groupby(self._by)],
            "reading": sorted(_in_flight(file, count, bins)),
        }


def _deliverer(file: FileSample, ids: Sequence[int], start: int, end: int) -> int:
    """Who delivered most of the pieces of a bin."""
    by = file.deliverers
    if not by:
        return BY_NOBODY
    step = max(1, (end - start) // _LOOKED_AT)
    here = file.here
    seen = [by[n] or COMPUTED for n in range(start, end, step) if here[n]]
    if not seen:
        return BY_NOBODY
    who = max(seen, key=seen.count)
    if who == HERE_BEFORE:
        return BY_EARLIER_RUN
    return BY_COMPUTING if who == COMPUTED else ids[who - 1]


def _in_flight(file: FileSample, count: int, bins: int) -> set[int]:
    found: set[int] = set()
    for _, fragment, start, end in file.reading:
        if file.layout.is_data(fragment) and start < end:
            first = file.layout.first_pieces[fragment]
            found.update(
                range(
                    (first + start) * bins // count,
                    min((first + end - 1) * bins // count, bins - 1) + 1,
                )
            )
    return found


def computed_pieces(file: FileSample, fragment: int, done: int) -> int:
    """How many of the ``done`` pieces of a fragment of data were computed from parity."""
    layout = file.layout
    if not file.deliverers or not done or layout.set_of[fragment] < 0:
        return 0
    if not layout.is_data(fragment):
        return 0
    first, end = layout.first_pieces[fragment], layout.first_pieces[fragment + 1]
    delivered = end - first - list(file.deliverers[first:end]).count(NOBODY)
    return max(done - delivered, 0)
