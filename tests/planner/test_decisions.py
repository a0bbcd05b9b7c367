"""Single decisions of the planner, event by event."""

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
    Finished,
    GiveUp,
    Options,
    PieceCorrupt,
    PieceDone,
    Planner,
    Progress,
    RangeIgnored,
    Restart,
    Start,
    Tick,
    Trim,
)
from tests.simulation.world import layout_of

MIB = 1 << 20


def planner(
    sizes: list[int], holdings: list[frozenset[int] | None], connections: int = 1
) -> Planner:
    options = Options(connections=connections, retries=2)
    return Planner(layout_of(sizes), holdings, options, random.Random(1))


def starts(actions: list[Action]) -> list[Start]:
    return [a for a in actions if isinstance(a, Start)]


def test_the_first_requests_go_to_different_fragments() -> None:
    plan = planner([8 * MIB] * 3, [None] * 3)
    begun = starts(plan.handle(Begin(), 0.0))
    assert sorted(s.source for s in begun) == [0, 1, 2]
    assert sorted(s.fragment for s in begun) == [0, 1, 2]


def test_the_fragment_with_one_holder_is_not_left_for_the_end() -> None:
    plan = planner([8 * MIB] * 2, [frozenset({0, 1}), frozenset({0})])
    begun = starts(plan.handle(Begin(), 0.0))
    assert {s.source: s.fragment for s in begun} == {0: 1, 1: 0}


def test_after_a_failure_the_pieces_go_elsewhere_at_once() -> None:
    plan = planner([MIB], [None, None])
    (start,) = starts(plan.handle(Begin(), 0.0))
    (again,) = starts(plan.handle(Failed(start.request, Blame.SOURCE), 0.1))
    assert again.source != start.source
    assert (again.start, again.end) == (0, 1)


def test_a_failing_source_is_asked_again_later_each_time_and_then_given_up() -> None:
    plan = planner([MIB], [None])
    now = 0.0
    (start,) = starts(plan.handle(Begin(), now))
    for _ in range(2):
        assert plan.handle(Failed(start.request, Blame.SOURCE), now) == []
        assert plan.wake_at is not None
        assert 0.05 < plan.wake_at - now < 1.6
        now = plan.wake_at
        (start,) = starts(plan.handle(Tick(), now))
    assert plan.handle(Failed(start.request, Blame.SOURCE), now) == [GiveUp((0,), corrupt=False)]
    assert plan.wake_at is None


def test_retry_after_is_kept() -> None:
    plan = planner([MIB], [None])
    (start,) = starts(plan.handle(Begin(), 0.0))
    plan.handle(Failed(start.request, Blame.BUSY, retry_after=30.0), 1.0)
    assert plan.wake_at == 31.0
    assert plan.handle(Tick(), 30.9) == []
    assert len(starts(plan.handle(Tick(), 31.0))) == 1


def test_an_absent_fragment_is_never_asked_of_the_same_source_again() -> None:
    plan = planner([MIB], [None, None])
    (start,) = starts(plan.handle(Begin(), 0.0))
    (other,) = starts(plan.handle(Failed(start.request, Blame.FRAGMENT), 0.1))
    assert other.source != start.source
    assert plan.handle(Failed(other.request, Blame.FRAGMENT), 0.2) == [GiveUp((0,), corrupt=False)]


def test_a_corrupt_piece_is_asked_elsewhere_and_two_end_the_source() -> None:
    plan = planner([2 * MIB], [frozenset({0}), frozenset({0})])
    first = {s.source: s for s in starts(plan.handle(Begin(), 0.0))}
    assert set(first) == {0, 1}
    plan.handle(PieceCorrupt(first[0].request, first[0].start), 0.1)
    assert plan.sources[0].corrupt_total == 1
    plan.sources[0].corrupt_total = 2
    (rest,) = starts(plan.handle(PieceDone(first[1].request, first[1].start), 0.2))
    assert rest.source == 1
    assert plan.handle(PieceDone(rest.request, rest.start), 0.3)[-1] == Finished()


def test_an_idle_source_steals_the_tail_of_a_slow_one() -> None:
    plan = planner([16 * MIB], [frozenset({0}), frozenset({0})])
    first = {s.source: s for s in starts(plan.handle(Begin(), 0.0))}
    now = 0.0
    for piece in range(first[0].start, first[0].end):  # source 0 is fast
        now += 0.01
        actions = plan.handle(PieceDone(first[0].request, piece), now)
    # Source 0 takes what is free, then from source 1, which has brought nothing in that time.
    trims: list[Trim] = [a for a in actions if isinstance(a, Trim)]
    while not trims:
        (mine,) = starts(actions)
        for piece in range(mine.start, mine.end):
            now += 0.01
            actions = plan.handle(PieceDone(mine.request, piece), now)
        trims = [a for a in actions if isinstance(a, Trim)]
    (stolen,) = starts(actions)
    assert trims == [Trim(first[1].request, stolen.start)]
    assert stolen.source == 0
    assert stolen.start > first[1].start


def test_the_last_late_piece_is_hedged_and_the_loser_cancelled() -> None:
    plan = planner([2 * MIB], [frozenset({0}), frozenset({0})])
    first = {s.source: s for s in starts(plan.handle(Begin(), 0.0))}
    plan.handle(Answered(first[0].request), 0.001)
    plan.handle(PieceDone(first[0].request, first[0].start), 0.01)
    hedges: list[Start] = []
    for _ in range(100):
        if hedges or plan.wake_at is None:
            break
        hedges = starts(plan.handle(Tick(), plan.wake_at))
    (hedge,) = hedges
    assert (hedge.source, hedge.start) == (0, first[1].start)
    actions = plan.handle(PieceDone(hedge.request, hedge.start), 5.0)
    assert actions == [Cancel(first[1].request), Finished()]
    assert plan.handle(Cancelled(first[1].request), 5.1) == []


def test_the_loser_of_a_hedge_may_still_be_second() -> None:
    plan = planner([MIB], [None])
    (start,) = starts(plan.handle(Begin(), 0.0))
    assert plan.handle(PieceDone(start.request, 0), 1.0) == [Finished()]
    assert plan.handle(PieceDone(start.request, 0), 1.1) == []


def test_a_source_that_ignores_ranges_restarts_whole() -> None:
    plan = planner([8 * MIB], [None], connections=3)
    plan.sources[0].concurrency.connections = 3
    requests = starts(plan.handle(Begin(), 0.0))
    assert len(requests) == 3
    assert plan.handle(RangeIgnored(requests[0].request), 0.1) == [Restart(requests[0].request, 8)]
    assert plan.handle(RangeIgnored(requests[1].request), 0.1) == [Cancel(requests[1].request)]


def test_what_was_done_before_is_not_fetched() -> None:
    plan = planner([4 * MIB], [None])
    plan.already_done([(0, 0), (0, 1), (0, 3), (0, 3)])
    assert plan.pieces_left == 1
    (start,) = starts(plan.handle(Begin(), 0.0))
    assert (start.start, start.end) == (2, 3)
    assert plan.handle(PieceDone(start.request, 2), 0.1) == [Finished()]


def test_all_done_before() -> None:
    plan = planner([MIB], [None])
    plan.already_done([(0, 0)])
    assert plan.handle(Begin(), 0.0) == [Finished()]


def test_a_source_that_hedges_itself_keeps_nobody_else_from_it() -> None:
    plan = planner([2 * MIB], [None, None], connections=2)
    plan.sources[0].concurrency.connections = 2
    first, other = starts(plan.handle(Begin(), 0.0))
    assert (first.source, other.source) == (0, 1)
    # The other source must wait; the first one brings its piece, and nothing of its own.
    (second,) = starts(plan.handle(Failed(other.request, Blame.SOURCE, 5.0), 0.01))
    plan.handle(Answered(second.request), 0.02)
    plan.handle(PieceDone(second.request, second.start), 0.1)
    (again,) = starts(plan.handle(Tick(), 2.0))
    assert (again.source, again.start) == (0, first.start)
    # Drops come of the copy, so it is not stuck; all the same the other one may help.
    plan.handle(Answered(again.request), 2.1)
    plan.handle(Progress(again.request, 1000), 8.9)
    (third,) = starts(plan.handle(Tick(), 9.0))
    assert (third.source, third.start) == (1, first.start)


def test_a_request_that_is_stuck_does_not_hold_up_its_source() -> None:
    plan = planner([20 * MIB], [None], connections=2)
    (stuck,) = starts(plan.handle(Begin(), 0.0))
    plan.handle(Answered(stuck.request), 0.01)
    more: list[Start] = []
    while not more:
        assert plan.wake_at is not None
        assert plan.wake_at < 3.0
        more = starts(plan.handle(Tick(), plan.wake_at))
    assert plan.sources[0].all_stalled
    plan.handle(Answered(more[0].request), 3.0)
    plan.handle(PieceDone(more[0].request, more[0].start), 3.1)
    assert not plan.sources[0].all_stalled


def test_a_source_is_asked_for_no_more_at_a_time_than_it_has_brought() -> None:
    plan = planner([64 * MIB], [None])
    (start,) = starts(plan.handle(Begin(), 0.0))
    brought, now = 0, 0.0
    while brought < 20:
        assert start.end - start.start <= max(2, brought)
        for piece in range(start.start, start.end):
            now += 0.01
            actions = plan.handle(PieceDone(start.request, piece), now)
        brought += start.end - start.start
        (start,) = starts(actions)


def test_behind_the_last_piece_of_a_young_connection_the_next_is_asked_for_at_once() -> None:
    plan = planner([8 * MIB], [None])
    (start,) = starts(plan.handle(Begin(), 0.0))
    assert (start.start, start.end) == (0, 2)
    plan.handle(Answered(start.request), 0.2)  # a round trip of 100 ms
    plan.handle(Progress(start.request, MIB // 4), 0.5)
    # At that pace the last piece takes half a second; a connection that starts slowly is faster.
    (ahead,) = starts(plan.handle(PieceDone(start.request, 0), 0.7))
    assert ahead.behind == start.request


def test_a_request_that_waits_for_its_turn_is_not_stuck() -> None:
    """Its source is not asked for the same piece a second time, on another connection."""
    plan = planner([MIB] * 3, [None, frozenset({1})], connections=2)
    first, other = starts(plan.handle(Begin(), 0.0))
    (second,) = starts(plan.handle(Answered(first.request), 0.09))
    plan.handle(Failed(other.request, Blame.BUSY, retry_after=30.0), 0.1)
    (waits,) = starts(plan.handle(Answered(second.request), 0.15))
    assert (waits.fragment, waits.behind) == (1, second.request)
    for start in (first, second):
        plan.handle(Progress(start.request, MIB // 2), 0.7)
    assert starts(plan.handle(PieceDone(first.request, 0), 1.38)) == []
    # Nothing comes on that connection for more than a second: now it is worth it.
    (again,) = starts(plan.handle(Tick(), 2.0))
    assert (again.source, again.fragment, again.behind) == (0, 1, -1)


def test_a_source_that_gets_on_in_small_steps_is_not_given_up() -> None:
    plan = planner([MIB], [None])
    (start,) = starts(plan.handle(Begin(), 0.0))
    now = 0.0
    for _ in range(10):
        assert not plan.handle(Failed(start.request, Blame.SOURCE, kept=True), now + 0.1)
        assert plan.wake_at is not None
        now = plan.wake_at
        (start,) = starts(plan.handle(Tick(), now))
    assert not plan.handle(Failed(start.request, Blame.SOURCE), now + 0.1)
    now = plan.wake_at or now
    (start,) = starts(plan.handle(Tick(), now))
    assert GiveUp((0,), corrupt=False) in plan.handle(Failed(start.request, Blame.SOURCE), now + 1)
