"""When a request for a read is late."""

from __future__ import annotations

import random

import pytest

from regather.reading.cache import Cache
from regather.reading.holders import Holders
from regather.reading.lateness import Lateness, patience
from regather.reading.rows import Rows
from regather.reading.wants import Request
from tests.reading.world import PIECE, layout_of

LAYOUT = layout_of([100 * PIECE])


class Bench:
    """A request for all pieces of the one fragment, sent to the first of two sources at 0 s."""

    def __init__(self) -> None:
        self.holders = Holders([None, None], 8, 1, random.Random(1))
        cache = Cache(1000 * PIECE)
        rows = Rows(LAYOUT, cache, self.holders, set(), lambda n: None, lambda n: None)
        self.lateness = Lateness(LAYOUT, self.holders, rows)
        self.request = Request(0, 0, 0, 0, 100, 0.0, 0.0)

    def brought(self, pieces: int, now: float) -> None:
        """So many pieces came by now, since an answer at 0 s."""
        self.request.answered = 0.0
        self.request.pos, self.request.received = pieces, pieces * PIECE
        self.request.moved = now


def test_a_request_is_silent_after_some_round_trips() -> None:
    bench = Bench()
    assert not bench.lateness.silent(bench.request, 0.9)
    assert bench.lateness.silent(bench.request, 1.1)
    bench.holders.health[0].latency = 0.5
    assert not bench.lateness.silent(bench.request, 2.9)
    assert bench.lateness.silent(bench.request, 3.1)


@pytest.mark.parametrize(("rate", "late"), [(100 * PIECE, True), (15 * PIECE, False)])
def test_a_request_is_overtaken_by_who_is_clearly_faster(rate: int, late: bool) -> None:
    bench = Bench()
    bench.brought(10, 1.0)
    bench.holders.rates = [10.0 * PIECE, float(rate)]
    assert bench.lateness.overtaken(bench.request, 1.0) == late


def test_nothing_is_said_of_a_request_that_has_hardly_begun() -> None:
    bench = Bench()
    bench.holders.rates = [1.0, 1e9]
    assert not bench.lateness.overtaken(bench.request, 10.0), "not answered yet"
    bench.brought(1, 0.1)
    assert not bench.lateness.overtaken(bench.request, 0.1)


def test_nobody_overtakes_the_only_source() -> None:
    bench = Bench()
    bench.brought(1, 10.0)
    bench.holders.health[1].absent.add(0)
    assert not bench.lateness.overtaken(bench.request, 10.0)


def test_what_ends_soon_is_waited_for() -> None:
    assert patience(0.4) < 0 < patience(0.6) < patience(10)
