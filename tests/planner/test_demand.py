"""What is wanted is given, urgent first, and no more than that."""

from __future__ import annotations

import random

from regather.planner import (
    Action,
    AddSource,
    Answered,
    Begin,
    Blame,
    Cancel,
    Decode,
    Decoded,
    DecodeFailed,
    Event,
    Evicted,
    Failed,
    Finished,
    Options,
    PieceDone,
    Planner,
    Progress,
    RangeIgnored,
    Release,
    RemoveSource,
    Restart,
    Start,
    Tick,
    Trim,
    Unavailable,
    Want,
)
from tests.simulation.books import Books
from tests.simulation.world import layout_of

MIB = 1 << 20


class Live:
    """A planner without end, whose books are checked after each event."""

    def __init__(
        self,
        sizes: list[int],
        holdings: list[frozenset[int] | None],
        *,
        parity: int = 0,
        connections: int = 1,
        retries: int = 0,
        max_rows: int = 1 << 30,
    ) -> None:
        options = Options(connections=connections, retries=retries, max_rows=max_rows)
        self.layout = layout_of(sizes, parity=parity)
        self.plan = Planner(self.layout, holdings, options, random.Random(1), live=True)
        self.books = Books(self.plan)
        self.now = 0.0
        self.started: dict[int, Start] = {}
        assert self.tell(Begin()) == []

    def tell(self, event: Event, after: float = 0.1) -> list[Action]:
        self.now += after
        actions = self.plan.handle(event, self.now)
        self.books.check(self.now)
        self.started |= {a.request: a for a in actions if isinstance(a, Start)}
        return actions

    def bring(self, start: Start) -> list[Action]:
        """All pieces of a request come."""
        actions: list[Action] = []
        for piece in range(start.start, start.end):
            actions += self.tell(PieceDone(start.request, piece))
        return actions


def pieces(asked: list[tuple[int, int, int]]) -> list[tuple[int, int]]:
    return sorted((fragment, n) for fragment, start, end in asked for n in range(start, end))


def starts(actions: list[Action]) -> list[tuple[int, int, int]]:
    return [(a.fragment, a.start, a.end) for a in actions if isinstance(a, Start)]


def test_nothing_is_asked_for_that_nobody_wants() -> None:
    live = Live([4 * MIB, 4 * MIB], [None])
    assert starts(live.tell(Want(1, 2, 3))) == [(0, 2, 3)]
    assert starts(live.bring(live.started[0])) == []
    assert live.plan.wake_at is None
    assert live.plan.pieces_left == 0


def test_a_want_over_two_fragments_is_for_both() -> None:
    live = Live([4 * MIB, 4 * MIB], [None], connections=4)
    wanted = starts(live.tell(Want(1, 3, 6)))
    while live.plan.pieces_left:
        wanted += starts(live.bring(live.started[max(live.started)]))
    assert pieces(wanted) == [(0, 3), (1, 0), (1, 1)]


def test_what_is_urgent_comes_before_what_was_wanted_first() -> None:
    live = Live([16 * MIB], [None])
    first = live.tell(Want(1, 0, 8))
    assert starts(first) == [(0, 0, 2)]
    live.tell(Answered(0), after=0.0)
    # A request for what nobody waits for gives way after the piece that is under way.
    assert live.tell(Want(2, 12, 13, urgent=True)) == [Trim(0, 1)]
    assert starts(live.tell(PieceDone(0, 0))) == [(0, 12, 13)]


def test_what_is_released_is_not_asked_for_any_more() -> None:
    live = Live([16 * MIB], [None])
    live.tell(Want(1, 0, 8))
    live.tell(Answered(0), after=0.0)
    assert live.tell(Release(1, 0, 8)) == [Trim(0, 1)]
    assert live.tell(PieceDone(0, 0)) == []
    assert live.plan.wake_at is None


def test_a_request_that_is_not_answered_is_cancelled_with_its_last_want() -> None:
    live = Live([16 * MIB], [None])
    live.tell(Want(1, 3, 4))
    live.tell(Want(2, 3, 4, urgent=True))
    assert live.tell(Release(1, 3, 4)) == []
    assert live.tell(Release(2, 3, 4)) == [Cancel(0)]


def test_readers_take_turns() -> None:
    live = Live([64 * MIB], [None])
    for reader in range(4):
        live.tell(Want(reader, 16 * reader, 16 * reader + 8, urgent=True))
    given = [0] * 4
    for number in range(12):
        request = live.started[number]
        given[request.start // 16] += request.end - request.start
        live.tell(Answered(number), after=0.0)
        live.bring(request)
    assert max(given) - min(given) <= 2


def test_what_was_evicted_is_fetched_again_when_it_is_wanted() -> None:
    live = Live([4 * MIB], [None])
    live.tell(Want(1, 0, 1, urgent=True))
    live.bring(live.started[0])
    live.tell(Release(1, 0, 1))
    assert live.tell(Want(1, 0, 1, urgent=True)) == []  # it is there
    live.tell(Release(1, 0, 1))
    live.tell(Evicted(0, 1))
    assert starts(live.tell(Want(1, 0, 1, urgent=True))) == [(0, 0, 1)]


def test_what_cannot_be_had_is_said_and_tried_once_more_when_it_is_wanted_again() -> None:
    live = Live([4 * MIB], [None])
    live.tell(Want(1, 2, 3, urgent=True))
    told = live.tell(Failed(0, Blame.SOURCE))
    assert told == [Unavailable(2, 3, corrupt=False)]
    live.now += 10.0
    assert starts(live.tell(Want(1, 2, 3, urgent=True))) == [(0, 2, 3)]


def test_a_row_is_wanted_whole_for_a_piece_that_nobody_can_send() -> None:
    live = Live([2 * MIB, 2 * MIB], [frozenset({1}), frozenset({2}), frozenset()], parity=1)
    asked = starts(live.tell(Want(1, 0, 1, urgent=True)))
    assert pieces(asked) == [(1, 0), (2, 0)]
    live.tell(Release(1, 0, 1))
    assert live.plan.pieces_left == 0


def test_a_source_that_comes_is_asked_and_one_that_goes_is_not() -> None:
    live = Live([4 * MIB], [frozenset()])
    assert live.tell(Want(1, 0, 1, urgent=True)) == [Unavailable(0, 1, corrupt=False)]
    live.tell(AddSource(frozenset({0})))
    begun = live.tell(Want(1, 0, 1, urgent=True))
    assert [a.source for a in begun if isinstance(a, Start)] == [1]
    gone = live.tell(RemoveSource(1))
    assert gone == [Cancel(0), Unavailable(0, 1, corrupt=False)] or gone == [
        Unavailable(0, 1, corrupt=False),
        Cancel(0),
    ]
    live.tell(RemoveSource(1))
    assert live.plan.pieces_left == 0


def test_a_selection_ends_when_what_it_wants_is_there() -> None:
    layout = layout_of([4 * MIB, 4 * MIB])
    plan = Planner(layout, [None], rng=random.Random(1), wanted=[(1, 2), (6, 7)])
    assert plan.pieces_left == 2
    actions = plan.handle(Begin(), 0.0)
    for moment in range(1, 3):
        start = next(a for a in actions if isinstance(a, Start))
        actions = plan.handle(PieceDone(start.request, start.start), moment * 0.1)
    assert actions == [Finished()]


def test_a_selection_counts_what_is_wanted_for_itself() -> None:
    layout = layout_of([MIB, MIB], parity=1)
    retries = Options(retries=0)
    # Nobody has the fragment that is wanted: the other one and parity make it.
    plan = Planner(layout, [frozenset({1, 2})], retries, random.Random(1), wanted=[(0, 1)])
    actions = plan.handle(Begin(), 0.0)
    for moment in range(1, 3):
        start = next(a for a in actions if isinstance(a, Start))
        actions = plan.handle(PieceDone(start.request, 0), moment * 0.1)
    assert plan.done_bytes == 0
    assert actions == [Decode(0, 0, (0,), (2,))]
    assert Finished() in plan.handle(Decoded(0, 0), 0.3)
    assert plan.done_bytes == MIB


def test_what_nobody_wants_of_a_whole_answer_is_passed_over() -> None:
    plan = Planner(layout_of([4 * MIB]), [None], rng=random.Random(1), wanted=[(2, 3)])
    start = next(a for a in plan.handle(Begin(), 0.0) if isinstance(a, Start))
    assert plan.handle(RangeIgnored(start.request), 0.1) == [Restart(start.request, 4)]
    for piece in range(2):
        assert plan.handle(PieceDone(start.request, piece, placed=False), 0.2 + piece) == []
        assert not plan.is_done(0, piece)
    assert plan.handle(PieceDone(start.request, 2), 3.0) == [Cancel(start.request), Finished()]
    assert plan.done_bytes == MIB


def test_what_was_passed_over_and_became_wanted_is_fetched() -> None:
    live = Live([4 * MIB], [None])
    start = live.tell(Want(1, 1, 2))[0]
    assert isinstance(start, Start)
    live.tell(RangeIgnored(start.request))
    live.tell(Want(1, 0, 1))
    live.tell(PieceDone(start.request, 0, placed=False))
    begun = live.bring(Start(start.request, 0, 0, 1, 4, whole=True))
    assert [(a.fragment, a.whole) for a in begun if isinstance(a, Start)] == [(0, True)]


def coded(rows: int, max_rows: int = 1 << 30) -> Live:
    """Two fragments of some rows and their parity; nobody has the first one."""
    sources: list[frozenset[int] | None] = [frozenset({1}), frozenset({2})]
    return Live([rows * MIB] * 2, sources, parity=1, max_rows=max_rows)


def test_no_more_rows_are_wanted_at_a_time_than_there_is_room_for() -> None:
    live = coded(4, max_rows=1)
    rows: list[int] = []
    actions = live.tell(Want(1, 0, 4, urgent=True))
    for _ in range(4):
        begun = [a for a in actions if isinstance(a, Start)]
        row = begun[0].start
        assert pieces(starts(actions)) == [(1, row), (2, row)]
        rows.append(row)
        assert live.plan.is_needed(1, row)
        live.bring(begun[0])
        assert live.bring(begun[1]) == [Decode(0, row, (0,), (2,))]
        actions = live.tell(Release(1, row, row + 1))
        assert live.plan.is_needed(1, row), "it is being read"
        live.tell(Decoded(0, row))
        assert not live.plan.is_needed(1, row)
    assert rows == [0, 1, 2, 3]


def test_parity_that_was_dropped_is_fetched_again() -> None:
    live = coded(1)
    begun = [a for a in live.tell(Want(1, 0, 1, urgent=True)) if isinstance(a, Start)]
    live.bring(begun[0])
    assert live.bring(begun[1]) == [Decode(0, 0, (0,), (2,))]
    again = live.tell(DecodeFailed(0, 0, gone=True))
    assert starts(again) == [(2, 0, 1)]
    assert live.bring(next(a for a in again if isinstance(a, Start))) == [Decode(0, 0, (0,), (2,))]
    live.tell(Decoded(0, 0))
    assert live.plan.is_done(0, 0)


def test_parity_replaces_a_piece_that_a_reader_would_wait_for_much_longer() -> None:
    live = Live([MIB, MIB], [frozenset({0}), frozenset({1}), frozenset({2})], parity=1)
    (crawls,) = [a for a in live.tell(Want(1, 0, 1, urgent=True)) if isinstance(a, Start)]
    live.tell(Answered(crawls.request))
    asked: list[Start] = []
    for kib in range(1, 100):
        if len(asked) == 2:
            break
        told = live.tell(Progress(crawls.request, kib << 10)) + live.tell(Tick())
        asked += [a for a in told if isinstance(a, Start)]
    assert sorted((a.fragment, a.start) for a in asked) == [(1, 0), (2, 0)]
    live.bring(asked[0])
    assert live.bring(asked[1]) == [Decode(0, 0, (0,), (2,))]
    assert Cancel(crawls.request) in live.tell(Decoded(0, 0))


def test_a_reader_of_fast_sources_is_not_served_by_many_small_requests() -> None:
    """Each source brings a piece in 2 ms, in turn, and the reader goes on without end."""
    live = Live([256 * MIB], [None] * 3)
    asked = 0
    for start in range(0, 256, 32):
        actions = live.tell(Want(1, start, start + 32, urgent=True), after=0.0)
        while live.plan.pieces_left:
            if start >= 64:  # their rates are known
                asked += len(starts(actions))
            actions = []
            for request in list(live.plan._state.requests.values()):
                done = PieceDone(request.id, request.pos)
                actions += live.tell(done, after=0.002 / 3)
    assert asked <= 6 * 8, "19 and more for 32 pieces, where each gets half of its share"


def test_what_a_reader_waits_for_is_stolen_where_much_is_gained() -> None:
    """A source brings a piece in 10 ms. A new one gets no part of 4 pieces, but of 8."""
    for count, stolen in ((4, False), (8, True)):
        live = Live([256 * MIB], [None])
        live.tell(Want(1, 0, 64, urgent=True))
        while live.plan.pieces_left:
            request = max(live.started)
            for piece in range(live.started[request].start, live.started[request].end):
                live.tell(PieceDone(request, piece), after=0.01)
        live.tell(Want(1, 64, 64 + 2 * count, urgent=True), after=0.0)
        request = max(live.started)
        live.tell(Answered(request), after=0.0)
        assert live.started[request].end == 64 + count
        live.tell(Release(1, 64 + count, 64 + 2 * count), after=0.0)
        actions = live.tell(AddSource(None), after=0.0)
        assert any(isinstance(action, Trim) for action in actions) == stolen
