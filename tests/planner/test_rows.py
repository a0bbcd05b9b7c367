"""Rows of erasure sets: which pieces will serve to compute others."""

from __future__ import annotations

import random

from regather.planner import Action, Begin, Blame, Failed, Options, PieceDone, Planner, Start
from tests.simulation.world import layout_of

MIB = 1 << 20


def starts(actions: list[Action]) -> dict[int, Start]:
    return {a.fragment: a for a in actions if isinstance(a, Start)}


def test_data_serves_where_its_row_lacks_a_piece_that_no_good_source_has() -> None:
    layout = layout_of([2 * MIB, 2 * MIB], parity=1)
    parity = next(n for n in range(3) if not layout.is_data(n))
    plan = Planner(
        layout,
        [frozenset({n}) for n in range(3)],
        Options(connections=1, retries=0),
        random.Random(1),
    )
    begun = starts(plan.handle(Begin(), 0.0))
    assert not any(plan.likely_computed(n, 0) for n in range(3))
    plan.handle(Failed(begun[1].request, Blame.SOURCE), 0.1)
    assert [plan.likely_computed(n, 0) for n in range(3)] == [n == 0 for n in range(3)]
    assert parity == 2
    assert plan.likely_computed(0, 1)


def test_data_serves_no_more_once_its_row_is_whole() -> None:
    layout = layout_of([MIB, MIB], parity=1)
    plan = Planner(
        layout,
        [frozenset({n}) for n in range(3)],
        Options(connections=1, retries=0),
        random.Random(1),
    )
    begun = starts(plan.handle(Begin(), 0.0))
    for n in range(2):
        plan.handle(PieceDone(begun[n].request, 0), 0.1)
    assert not any(plan.likely_computed(n, 0) for n in range(3))
