"""What the planner remembers follows sources, requests in flight and pieces: not their product."""

from __future__ import annotations

import gc
import random
import tracemalloc

import pytest

from regather.planner import Action, Answered, Begin, Options, PieceDone, Planner, Start
from tests.simulation.world import layout_of

MIB = 1 << 20
FRAGMENTS = 10
IN_FLIGHT = 2
"""Requests at each source."""


def remembered(sources: int, pieces: int) -> int:
    """Bytes that a planner takes in the middle of a download, with all sources busy."""
    layout = layout_of([pieces // FRAGMENTS * MIB] * FRAGMENTS)
    options = Options(connections=IN_FLIGHT, max_requests=IN_FLIGHT * sources)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        planner = Planner(layout, [None] * sources, options, random.Random(1))
        requests = under_way(planner, sources)
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(requests) >= sources
    return after - before


def under_way(planner: Planner, sources: int) -> dict[int, Start]:
    """Begin, and let four pieces a source come; the requests that are in flight then."""
    flights: dict[int, Start] = {}
    at: dict[int, int] = {}

    def note(actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Start):
                flights[action.request], at[action.request] = action, action.start

    note(planner.handle(Begin(), 0.0))
    answered: set[int] = set()
    for step in range(4 * sources):
        now = 0.05 + step * 0.05 / sources
        request, start = next(iter(flights.items()))
        if request not in answered:
            answered.add(request)
            note(planner.handle(Answered(request), now))
        piece = at[request]
        del flights[request]
        if piece + 1 < start.end:
            flights[request], at[request] = start, piece + 1  # behind the others again
        note(planner.handle(PieceDone(request, piece), now))
    return flights


@pytest.mark.long
def test_memory_follows_sources_and_pieces_and_not_their_product() -> None:
    few, many = 50, 1000
    short, long = 20_000, 200_000
    pieces_with_few = remembered(few, long) - remembered(few, short)
    pieces_with_many = remembered(many, long) - remembered(many, short)
    # A byte or two for each piece that may be done, whoever may bring it.
    assert pieces_with_few <= 3 * (long - short)
    assert pieces_with_many <= pieces_with_few + (long - short)


@pytest.mark.long
def test_memory_is_linear_in_the_sources() -> None:
    some = remembered(500, 20_000)
    more = remembered(1500, 20_000)
    most = remembered(2500, 20_000)
    assert most - more <= 1.2 * (more - some)
    assert more - some <= 1000 * 8192
