"""The planner of one round: which sources may be asked, and what is in place already."""

from __future__ import annotations

import random
from collections.abc import Collection

from regather.model import Layout
from regather.planner import Options, Planner
from regather.planner.intervals import IntervalSet
from regather.sources.download_target import DownloadTarget
from regather.sources.settings import Settings

_MAX_BUFFERS = 256 << 20
"""Bytes of memory for pieces in flight, whatever piece size a manifest asks for."""


def max_requests(layout: Layout) -> int:
    """How many requests may be in flight: each has a buffer of one piece. At least 2."""
    fitting = _MAX_BUFFERS // max(layout.largest_piece, 1)
    return max(2, min(Options().max_requests, fitting))


def planner_of(
    target: DownloadTarget,
    settings: Settings,
    sources: Collection[int],
    good: Collection[int],
    pieces: Collection[int],
) -> Planner:
    """A planner for those of the target's sources that stand at ``sources``.

    ``good`` are numbers of pieces in place, ``pieces`` of those that are wanted.
    """
    layout = target.layout
    held = [s.fragments if i in sources else frozenset() for i, s in enumerate(target.sources)]
    wanted = IntervalSet()
    if some := len(pieces) < layout.data_pieces:
        for number in sorted(pieces):
            wanted.add(number, number + 1)
    planner = Planner(
        layout,
        held,
        Options(
            connections=settings.connections,
            max_requests=max_requests(layout),
            retries=settings.retries,
        ),
        random.Random(),
        wanted=wanted.runs if some else None,
    )
    planner.already_done(layout.locate(number) for number in good)
    return planner
