"""Rows of erasure sets: which pieces will serve to compute others."""

from __future__ import annotations

import random

from regather.planner import Action, Begin, Blame, Failed, Options, PieceDone, Planner, Start
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
