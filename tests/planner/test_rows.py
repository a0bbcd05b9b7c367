"""Rows of erasure sets: which pieces will serve to compute others."""

from __future__ import annotations

import random

from regather.planner import (
    Action,
    Answered,
    Begin,
    Blame,
    Cancel,
    Cancelled,
    Failed,
    Options,
    PieceDone,
    Planner,
    Start,
    Tick,
)
from tests.simulation.world import layout_of

MIB = 1 << 20


def planner(size: int) -> Planner:
    """Two data fragments of ``size`` bytes and one of parity, each at a source of its own."""
    layout = layout_of([size, size], parity=1)
    assert [layout.is_data(n) for n in range(3)] == [True, True, False]
    holdings = [frozenset({n}) for n in range(3)]
    return Planner(layout, holdings, Options(connections=1, retries=0), random.Random(1))


def starts(actions: list[Action]) -> dict[int, Start]:
    return {a.fragment: a for a in actions if isinstance(a, Start)}


def test_data_serves_where_its_row_lacks_a_piece_that_no_good_source_has() -> None:
    plan = planner(2 * MIB)
    begun = starts(plan.handle(Begin(), 0.0))
    assert not any(plan.likely_computed(n, 0) for n in range(3))
    plan.handle(Failed(begun[1].request, Blame.SOURCE), 0.1)
    assert [plan.likely_computed(n, 0) for n in range(3)] == [n == 0 for n in range(3)]
    assert plan.likely_computed(0, 1)


def test_data_serves_no_more_once_its_row_is_whole() -> None:
    plan = planner(MIB)
    begun = starts(plan.handle(Begin(), 0.0))
    for n in range(2):
        plan.handle(PieceDone(begun[n].request, 0), 0.1)
    assert not any(plan.likely_computed(n, 0) for n in range(3))


def test_the_loser_of_a_hedge_gives_nothing_back_of_a_set() -> None:
    layout = layout_of([2 * MIB, 60 * MIB], parity=1)
    holdings = [frozenset({0}), frozenset({0}), frozenset({1})]
    plan = Planner(layout, holdings, Options(connections=1), random.Random(1))
    begun = {a.source: a for a in plan.handle(Begin(), 0.0) if isinstance(a, Start)}
    plan.handle(Answered(begun[0].request), 0.001)
    plan.handle(PieceDone(begun[0].request, begun[0].start), 0.01)
    hedges: dict[int, Start] = {}
    while not hedges:
        assert plan.wake_at is not None
        hedges = starts(plan.handle(Tick(), plan.wake_at))
    hedge = hedges[0]
    assert (hedge.source, hedge.start) == (0, begun[1].start)
    # The piece is here: that its other request ends makes nobody ask for it again.
    actions = plan.handle(PieceDone(hedge.request, hedge.start), 5.0)
    assert actions == [Cancel(begun[1].request)]
    assert plan.handle(Cancelled(begun[1].request), 5.1) == []
