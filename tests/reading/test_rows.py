"""Which pieces a lost one is computed from."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regather.model import Layout
from regather.reading.cache import Cache
from regather.reading.holders import Holders
from regather.reading.rows import Rows
from regather.reading.wants import Decode, Request
from tests.reading.world import PIECE, layout_of

CODED = layout_of([3 * PIECE, 3 * PIECE, 2 * PIECE, 3 * PIECE], parity=2)
FULL = 1000 * PIECE


class Bench:
    """Rows over a source a fragment; what they want is pinned, as the plan does it."""

    def __init__(self, layout: Layout = CODED, lost: frozenset[int] = frozenset()) -> None:
        self.layout = layout
        self.cache = Cache(FULL)
        count = len(layout.fragments)
        holdings = [frozenset({f}) - lost for f in range(count)]
        self.holders = Holders(holdings, 8, 1, random.Random(1))
        self.failed: set[int] = set()
        self.wanted: Counter[int] = Counter()
        self.rows = Rows(layout, self.cache, self.holders, self.failed, self._want, self._release)

    def _want(self, number: int) -> None:
        self.wanted[number] += 1
        self.cache.pin(number)

    def _release(self, number: int) -> None:
        self.wanted[number] -= 1
        self.cache.unpin(number)

    def read(self, fragment: int, row: int) -> None:
        """A reader needs a piece."""
        self.cache.pin(self.layout.number(fragment, row))

    def put(self, fragment: int, row: int) -> None:
        number = self.layout.number(fragment, row)
        self.cache.put(number, memoryview(bytes(self.layout.length(fragment, row))))

    def wants(self) -> set[tuple[int, int]]:
        """The pieces that rows want now."""
        return {self.layout.locate(n) for n, count in self.wanted.items() if count}


def test_data_comes_first_and_parity_fills_up() -> None:
    bench = Bench(lost=frozenset({0}))
    bench.read(0, 1)
    assert bench.rows.begin(0, 1, 0.0)
    assert bench.wants() == {(1, 1), (2, 1), (3, 1), (4, 1)}
    assert bench.rows.busy(bench.layout.number(0, 1))
    assert not bench.rows.busy(bench.layout.number(1, 1))
    assert not bench.rows.begin(0, 1, 0.0), "once is enough"
    assert bench.rows.ready(0.0) == []
    for fragment in range(1, 5):
        bench.put(fragment, 1)
    assert bench.rows.ready(0.0) == [Decode(0, 1, (1, 2, 3, 4), (0,))]
    assert bench.rows.ready(0.0) == [], "and it is ordered once"
    assert bench.rows.ended(0, 1, True) == (0,)
    assert bench.wants() == set()


def test_what_is_here_is_used() -> None:
    bench = Bench(lost=frozenset({0}))
    bench.read(0, 0)
    bench.put(5, 0)
    bench.put(4, 0)
    assert bench.rows.begin(0, 0, 0.0)
    assert {fragment for fragment, _ in bench.wants()} == {1, 2, 4, 5}


def test_a_fragment_that_has_ended_counts_as_zeros() -> None:
    bench = Bench(lost=frozenset({0, 1}))
    bench.read(0, 2)
    assert bench.rows.begin(0, 2, 0.0)
    assert bench.wants() == {(3, 2), (4, 2), (5, 2)}
    for fragment in (3, 4, 5):
        bench.put(fragment, 2)
    (order,) = bench.rows.ready(0.0)
    assert 2 in order.have


def test_slow_data_is_left_to_parity() -> None:
    bench = Bench(lost=frozenset({0}))
    bench.holders.rates = [0.0, 100.0, 1e6, 1e6, 1e6, 1e6]
    bench.read(0, 0)
    assert not bench.rows.begin(0, 0, 0.0, within=0.0005)
    assert bench.rows.begin(0, 0, 0.0)
    assert {fragment for fragment, _ in bench.wants()} == {2, 3, 4, 5}


def test_nothing_computes_what_has_no_parity_or_is_parity() -> None:
    assert not Bench(layout_of([PIECE, PIECE])).rows.begin(0, 0, 0.0)
    assert not Bench().rows.begin(4, 0, 0.0)


def test_a_row_that_came_out_wrong_is_not_tried_again() -> None:
    bench = Bench(lost=frozenset({0}))
    bench.read(0, 0)
    for fragment in range(1, 5):
        bench.put(fragment, 0)
    assert bench.rows.begin(0, 0, 0.0)
    assert len(bench.rows.ready(0.0)) == 1
    bench.rows.ended(0, 0, False)
    assert not bench.rows.begin(0, 0, 0.0)
    assert not bench.rows.hopeful(0, 0, 0.0)


@pytest.mark.parametrize("spare", [True, False])
def test_a_late_member_is_replaced_or_waited_for(spare: bool) -> None:
    bench = Bench(lost=frozenset({0}) if spare else frozenset({0, 5}))
    bench.read(0, 0)
    assert bench.rows.begin(0, 0, 0.0)
    bench.holders.late[1] += 1
    assert bench.rows.ready(0.0) == []
    assert bench.rows.busy(0) == (not spare)
    assert bench.rows.begin(0, 0, 0.0) == spare
    if spare:
        assert {fragment for fragment, _ in bench.wants()} == {2, 3, 4, 5}


def test_a_row_goes_when_a_member_is_not_to_be_had_or_nobody_needs_it() -> None:
    bench = Bench(lost=frozenset({0}))
    bench.read(0, 0)
    assert bench.rows.begin(0, 0, 0.0)
    member = bench.layout.number(1, 0)
    assert bench.rows.needing(member) == [0]
    bench.failed.add(member)
    bench.rows.ready(0.0)
    assert bench.wants() == set()
    bench.failed.clear()
    assert bench.rows.begin(0, 0, 0.0)
    bench.cache.unpin(0)
    bench.rows.released(0)
    assert bench.wants() == set()


def test_whether_others_could_replace_a_request() -> None:
    bench = Bench()
    request = Request(0, 1, 1, 0, 1, 0.0, 0.0)
    assert bench.rows.without(request, 0.0, float) == 4.0
    bench.put(0, 0)
    bench.holders.late[4] += 1
    assert bench.rows.without(request, 0.0, float) == 5.0
    bench.holders.late[5] += 1
    assert bench.rows.without(request, 0.0, float) == float("inf")


FRAGMENTS = st.frozensets(st.integers(0, 5))


@given(FRAGMENTS, FRAGMENTS, FRAGMENTS, st.integers(0, 2), st.booleans())
def test_any_k_are_enough_and_fewer_are_not(
    lost: frozenset[int], here: frozenset[int], liars: frozenset[int], row: int, hoping: bool
) -> None:
    bench = Bench(lost=lost)
    bench.read(0, row)
    for fragment in here - {0}:
        if bench.layout.pieces_of(fragment) > row:
            bench.put(fragment, row)
    for fragment in liars:
        bench.holders.corrupt_piece(fragment, fragment, row, 0.0)
    free = {f for f in here - {0} if bench.layout.pieces_of(f) > row}
    free |= {f for f in range(6) if bench.layout.pieces_of(f) <= row}
    had = free | (set(range(6)) - lost - (frozenset() if hoping else liars))
    begun = bench.rows.begin(0, row, 0.0, hoping=hoping)
    assert begun == (len(had) >= 4)
    if begun:
        members = bench.rows._members[0, row]
        assert len(set(members)) == 4
        assert set(members) <= had
        assert len(free & set(members)) == min(4, len(free)), "what costs nothing goes first"
        assert bench.wants() == {(f, row) for f in members if bench.layout.pieces_of(f) > row}
    else:
        assert bench.wants() == set()
