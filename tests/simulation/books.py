"""The planner's books: what it counts must be what is there, after every event.

Read from outside of the planner, and slowly: for tests only.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from regather.planner import Planner
from regather.planner.group import Group
from regather.planner.inflight import Request
from regather.planner.requests import rivals_of
from regather.planner.state import State


class Books:
    """Checks one planner."""

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._bad_rows: set[tuple[int, int]] = set()

    def row_failed(self, number: int, row: int) -> None:
        """A row could not be computed: nobody wants its parity any more."""
        self._bad_rows.add((number, row))

    def check(self, now: float) -> None:
        """Raise AssertionError where the books do not agree with each other."""
        state = self._planner._state
        for fragment in range(len(state.done)):
            _pieces(state, fragment, self._bad_rows)
        for number in range(len(state.layout.sets)):
            _rows(state, number)
        _groups(state)
        _demands(self._planner)
        _requests(state)
        _sources(self._planner, now)
        assert all(not state.done[f][p] for f, p in state.suspects), "suspects that came"


def _pieces(state: State, fragment: int, bad_rows: set[tuple[int, int]]) -> None:
    """Every piece that is not done is free, in flight, or settled by parity."""
    done, settled = state.done[fragment], state.settled[fragment]
    claimed: list[set[int]] = [set() for _ in done]
    data = state.layout.is_data(fragment)
    for request in state.requests.values():
        if not request.cancelled and fragment in (request.fragment, request.via):
            for piece in range(request.pos, min(request.end, len(done))):
                claimed[piece].add(request.id)
    free = bytearray(len(done))
    for start, end in state.free[fragment]:
        free[start:end] = b"\1" * (end - start)
    assert state.free[fragment].count == sum(free)
    wanted = _wanted_rows(state, fragment, bad_rows)
    for piece, is_done in enumerate(done):
        where = f"fragment {fragment}, piece {piece}"
        assert not (free[piece] and settled[piece]), f"{where} is free and settled"
        assert not (free[piece] and data and not state.is_wanted(fragment, piece)), f"{where}: why"
        assert not (free[piece] and claimed[piece]), f"{where} is free and in flight"
        assert not is_done or settled[piece], f"{where} is done and not settled"
        if len(claimed[piece]) > 1 and data and not settled[piece]:
            rivals = {r.id for r in rivals_of(state, fragment, piece)}
            assert claimed[piece] <= rivals, f"{where}: requests that know nothing of each other"
        if not (is_done or settled[piece] or free[piece] or claimed[piece]):
            assert piece not in wanted, f"{where} is lost"


def _wanted_rows(state: State, fragment: int, bad_rows: set[tuple[int, int]]) -> set[int]:
    """The pieces that may not be lost: all data, and parity of rows of which some data is free."""
    if state.layout.is_data(fragment):
        runs = state.wanted_within(fragment, 0, len(state.done[fragment]))
        return {piece for start, end in runs for piece in range(start, end)}
    number = state.layout.set_of[fragment]
    free = [run for f in state.layout.sets[number].data for run in state.free[f]]
    rows = {row for start, end in free for row in range(start, end)}
    whole = state.wanted_within(fragment, 0, state.layout.pieces_of(fragment))
    rows &= {row for start, end in whole for row in range(start, end)}
    return {row for row in rows if (number, row) not in bad_rows}


def _rows(state: State, number: int) -> None:
    """What is settled in each row is as much as its parity that is in place."""
    members = state.layout.sets[number]
    for row in range(members.rows):
        data = [f for f in members.data if row < len(state.done[f])]
        lacking = sum(not state.done[f][row] for f in data)
        assert state.lacking[number][row] == lacking, f"set {number}, row {row}: what lacks"
        if (number, row) in state.decoding:
            continue
        there = state.parity_rows[number].get(row, 0)
        bound = sum(state.settled[f][row] and not state.done[f][row] for f in data)
        spare = state.spare[number].get(row, 0)
        assert bound + spare == there, f"set {number}, row {row}: {there} is {bound} + {spare}"
        assert not there or there < lacking or not lacking, f"set {number}, row {row} is ready"


def _groups(state: State) -> None:
    free: Counter[int] = Counter()
    flying: Counter[int] = Counter()
    for fragment, group in enumerate(state.groups.of):
        free[id(group)] += state.free[fragment].count
        working = state.working[fragment].values()
        flying[id(group)] += sum(r.end - r.pos for r in working if not r.cancelled)
        if state.free[fragment].count:
            assert fragment in group.free_heap, f"fragment {fragment} is in no heap"
    via = Counter(
        id(state.groups.of[r.via]) for r in state.requests.values() if r.via != r.fragment
    )
    for group in _all_groups(state):
        assert group.standing_in == via[id(group)], "parity in flight of a group"
        assert group.free == free[id(group)], "free pieces of a group"
        assert group.flying == flying[id(group)], "pieces in flight of a group"
        _heap(group.free_heap)
        _heap(group.untouched_heap)
    assert state.unclaimed == sum(runs.count for runs in state.free)
    assert state.left == sum(
        state.done[f].count(0, start, end)
        for f in range(state.layout.data_count)
        for start, end in state.wanted_within(f, 0, state.layout.pieces_of(f))
    )


def _demands(planner: Planner) -> None:
    """What is wanted, waited for, and who stands in line."""
    state, turns = planner._state, planner._state.turns
    rows = [demand for demand, _ in state.row_wants.values()]
    demands = [*planner.demands._demands.values(), *rows]
    if not state.everything:
        for fragment, wanted in enumerate(state.wanted):
            counts = Counter(
                piece
                for demand in demands
                if fragment in demand.held
                for start, end in demand.held[fragment]
                for piece in range(start, end)
            )
            for piece in range(state.layout.pieces_of(fragment)):
                assert (piece in wanted) == (counts[piece] > 0), f"{fragment}, {piece}: wanted"
    waits: dict[int, set[int]] = {}
    for demand in demands:
        for fragment, pieces in demand.urgent.items():
            assert pieces, "an empty set of pieces that are waited for"
            for start, end in pieces:
                for piece in range(start, end):
                    assert piece in demand.held[fragment], "waited for, and not wanted"
                    assert not state.done[fragment][piece], "waited for, and done"
                    number = state.layout.number(fragment, piece)
                    waits.setdefault(number, set()).add(demand.number)
                    if piece in state.free[fragment]:
                        line = state.groups.of[fragment].urgent
                        assert line is not None, "free and waited for, and no line"
                        assert demand.number in line.waiting, "free and waited for, not in line"
    assert {n: {d.number for d in who} for n, who in turns.urgent.items()} == waits
    assert turns.readers == sum(demand.reads for demand in demands)
    lines = [line for g in _all_groups(state) for line in (g.urgent, g.ahead) if line is not None]
    for line in lines:
        assert {number for _, number in line.heap} == set(line.waiting)
    for (number, row), (demand, causes) in state.row_wants.items():
        assert causes, "a row that is wanted for nothing"
        for fragment in state.layout.sets[number].data:
            if row < state.layout.pieces_of(fragment):
                assert state.is_wanted(fragment, row), "a row that is not wanted as a whole"
                held = fragment in demand.held and row in demand.held[fragment]
                assert held != (fragment in causes), "a piece and its row"


def _all_groups(state: State) -> Iterable[Group]:
    held = [*state.groups.of_source, *state.groups.parity_of_source, state.groups.of]
    return {id(group): group for groups in held for group in groups}.values()


def _heap(heap: Sequence[int]) -> None:
    for at in range(1, len(heap)):
        assert heap[(at - 1) // 2] <= heap[at], "a heap out of order"


def _requests(state: State) -> None:
    for request in state.requests.values():
        _request(state, request)
    by_fragment = {n for working in state.working for n in working}
    assert by_fragment == set(state.requests), "requests by fragment"
    assert state.queued == sum(r.behind is not None for r in state.requests.values())
    for racing in state.hedged.values():
        assert racing
        assert all(r.id in state.requests for r in racing), "a race that is over"
    for many in state.overlapping:
        assert all(n in state.requests for n in many), "an overlap that is over"


def _request(state: State, request: Request) -> None:
    assert state.working[request.fragment][request.id] is request
    assert 0 <= request.pos < request.end <= state.layout.pieces_of(request.via)
    assert request.follower is None or request.follower.behind is request
    if request.behind is not None:
        assert request.behind.follower is request
        assert request.behind.id in state.requests, "it waits for one that has ended"


def _sources(planner: Planner, now: float) -> None:
    state = planner._state
    active = Counter(r.source for r in state.requests.values() if r.behind is None)
    dispatch = planner._dispatch
    waits = {source: at for at, source in sorted(dispatch._timers)}
    for source, health in enumerate(state.sources):
        where = f"source {source}"
        assert health.active == active[source], f"{where}: requests"
        assert health.concurrency.connections >= 1, f"{where} may never be asked again"
        assert health.rate == health.counted, f"{where}: its rate"
        places = [source in dispatch._idle, source in dispatch._barred, source in dispatch._ready]
        assert sum(places) <= 1, f"{where} is in two places"
        assert bool(dispatch._is_ready[source]) == places[2], f"{where} is ready"
        if health.removed:
            continue
        if now < health.retry_at:
            assert waits.get(source, 0.0) >= health.retry_at, f"{where} waits for ever"
        elif not active[source] and not planner._over:
            assert any(places) or source in waits, f"{where} is forgotten"
    assert abs(state.rates - sum(h.rate for h in state.sources)) <= 1e-6 * (1 + state.rates)
    assert state.rated == sum(bool(h.rate) for h in state.sources)
