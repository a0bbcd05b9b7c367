"""The planner of a download: what its sources hold, and what is in place already."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence

from regather.engine.worker_pool import most_requests
from regather.model import Layout
from regather.planner import Options, Planner
from regather.planner.intervals import IntervalSet
from regather.sources.settings import Settings

_MAX_BUFFERS = 256 << 20
"""Bytes of memory for pieces in flight, whatever piece size a manifest asks for."""


def planner_of(
    layout: Layout,
    settings: Settings,
    holdings: Sequence[frozenset[int] | None],
    good: Collection[int],
    pieces: Collection[int],
    *,
    more_sources: bool = False,
) -> Planner:
    """A planner for sources with these ``holdings``, as ``Planner`` has them.

    ``good`` are numbers of pieces in place, ``pieces`` of those that are wanted.
    """
    wanted = IntervalSet()
    if some := len(pieces) < layout.data_pieces:
        for number in sorted(pieces):
            wanted.add(number, number + 1)
    planner = Planner(
        layout,
        holdings,
        Options(
            connections=settings.connections,
            max_requests=most_requests(layout, _MAX_BUFFERS),
            retries=settings.retries,
        ),
        random.Random(),
        wanted=wanted.runs if some else None,
        more_sources=more_sources,
    )
    planner.already_done(layout.locate(number) for number in good)
    return planner
