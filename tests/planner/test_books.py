"""The planner's books agree whatever comes, also of requests that were cancelled already."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from regather.planner import (
    Action,
    Begin,
    Cancel,
    Cancelled,
    Event,
    Options,
    PieceCorrupt,
    PieceDone,
    Planner,
    Progress,
    RangeIgnored,
    Tick,
)
from tests.planner.test_decisions import starts
from tests.simulation.books import Books
from tests.simulation.world import layout_of

MIB = 1 << 20


class Told:
    """A planner whose books are checked after each event."""

    def __init__(self, sizes: list[int], sources: int, connections: int = 1) -> None:
        options = Options(connections=connections, retries=2)
        self.planner = Planner(layout_of(sizes), [None] * sources, options)
        self._books = Books(self.planner)

    def __call__(self, event: Event, now: float) -> list[Action]:
        actions = self.planner.handle(event, now)
        self._books.check(now)
        return actions


def hedged() -> tuple[Told, int, int]:
    """Two requests for piece 0: the first, which is slow, and the second. All else is done."""
    tell = Told([2 * MIB], 2)
    slow, *rest = starts(tell.planner.handle(Begin(), 0.0))
    assert (slow.start, slow.end) == (0, 1)
    tell(Progress(slow.request, 10), 1.0)
    begun = []
    for request in rest:
        begun += starts(tell(PieceDone(request.request, request.start), 1.0))
    (other,) = begun + starts(tell(Tick(), 5.0))
    assert (other.start, other.end) == (0, 1)
    return tell, slow.request, other.request


def test_a_race_ends_with_a_request_that_became_whole() -> None:
    tell, slow, _ = hedged()
    tell(RangeIgnored(slow), 5.1)
    tell(PieceDone(slow, 0), 5.2)
    tell(PieceDone(slow, 1), 5.3)


@pytest.mark.parametrize(
    "late", [lambda n: PieceDone(n, 0), lambda n: PieceCorrupt(n, 0), RangeIgnored]
)
def test_what_comes_after_it_was_cancelled_is_taken_as_it_is(
    late: Callable[[int], Event],
) -> None:
    # The second wrong piece of a source cancels all that it is asked for.
    tell = Told([8 * MIB, 8 * MIB], 1, connections=2)
    health = tell.planner.sources[0]
    health.concurrency.connections = 2
    one, two = starts(tell(Begin(), 0.0))
    health.corrupt_total = 1
    assert two.start == 0
    assert Cancel(two.request) in tell(PieceCorrupt(one.request, one.start), 0.1)
    tell(late(two.request), 0.1)
    tell(Cancelled(two.request), 0.1)
