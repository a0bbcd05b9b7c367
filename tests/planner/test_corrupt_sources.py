"""A source with pieces wrong on its disk: all else is fetched before they are asked for again."""

from __future__ import annotations

import random

from regather.planner import (
    Action,
    Begin,
    Cancel,
    Cancelled,
    Decode,
    Decoded,
    Finished,
    GiveUp,
    Options,
    PieceCorrupt,
    PieceDone,
    Planner,
    Start,
    Tick,
)
from tests.simulation.world import layout_of

MIB = 1 << 20
Wrong = set[tuple[int, int]]


def fetch(plan: Planner, wrong: Wrong) -> Action:
    """Play sources that answer one piece after another; ``wrong`` are pieces that all send wrong.

    Returns how it ended.
    """
    now = 0.0
    waiting = plan.handle(Begin(), now)
    for _ in range(1000):
        if not waiting:
            assert plan.wake_at is not None, "it waits for nothing"
            now = max(now, plan.wake_at)
            waiting = plan.handle(Tick(), now)
            continue
        action = waiting.pop(0)
        now += 0.01
        match action:
            case Finished() | GiveUp():
                return action
            case Start(request=request, fragment=fragment):
                for piece in range(action.start, action.end):
                    if (fragment, piece) in wrong:
                        waiting += plan.handle(PieceCorrupt(request, piece), now)
                        break
                    waiting += plan.handle(PieceDone(request, piece), now)
            case Decode():
                waiting += plan.handle(Decoded(action.set, action.row), now)
            case Cancel(request=request):
                waiting += plan.handle(Cancelled(request), now)
    raise AssertionError("it does not end")


def test_one_wrong_piece_that_nobody_else_has_does_not_cost_the_others() -> None:
    layout = layout_of([4 * MIB, 4 * MIB])
    plan = Planner(layout, [None], Options(connections=1, retries=1), random.Random(1))
    assert fetch(plan, {(0, 1)}) == GiveUp((0,), True)
    assert plan.pieces_left == 1


def test_parity_is_tried_after_the_first_wrong_piece_where_the_second_would_be_too_many() -> None:
    layout = layout_of([3 * MIB, MIB], parity=1)
    holdings = [frozenset({1}), frozenset({0, 2})]
    plan = Planner(layout, list(holdings), Options(connections=1, retries=1), random.Random(1))
    assert fetch(plan, {(0, 2)}) == Finished()


def test_parity_is_tried_before_a_wrong_piece_is_asked_for_again() -> None:
    """The only source of a fragment, wrong throughout, holds the parity that replaces it."""
    layout = layout_of([2 * MIB, 2 * MIB], parity=1)
    holdings = [frozenset({1}), frozenset({0, 2})]
    plan = Planner(layout, list(holdings), Options(connections=1, retries=3), random.Random(1))
    assert fetch(plan, {(0, 0), (0, 1)}) == Finished()
