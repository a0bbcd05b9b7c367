"""Read-ahead: only for what is read in order, and never much in vain."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from regather.reading.ahead import ReadAhead

PIECE = 1000


def test_nothing_at_first_and_ever_more_in_order() -> None:
    ahead = ReadAhead(PIECE, 50 * PIECE)
    told = [ahead.after(at, at + 4 * PIECE)[1] for at in range(0, 400 * PIECE, 4 * PIECE)]
    assert told[0] == 0
    assert told == sorted(told)
    assert 0 < told[10] < told[50]
    assert ahead.after(400 * PIECE, 10_000 * PIECE)[1] == 50 * PIECE


def test_reads_all_over_the_file_fetch_nothing_ahead() -> None:
    ahead = ReadAhead(PIECE, 50 * PIECE)
    assert all(ahead.after(at, at + 10 * PIECE)[1] == 0 for at in range(0, 10**6, 30 * PIECE))


def test_several_places_are_read_in_order_at_once() -> None:
    ahead = ReadAhead(PIECE, 50 * PIECE)
    for step in range(20):
        starts = [place * 10**6 + step * PIECE for place in range(8)]
        told = [ahead.after(start, start + PIECE)[1] for start in starts]
    assert all(told)
    # One more than are remembered, and the oldest is forgotten.
    ahead.after(99 * 10**6, 99 * 10**6 + PIECE)
    assert ahead.after(20 * PIECE, 21 * PIECE)[1] == 0


@given(
    st.lists(st.tuples(st.integers(0, 50_000), st.integers(0, 20_000), st.booleans()), max_size=40),
    st.integers(0, 30_000),
)
def test_never_more_than_an_eighth_and_whole_pieces(
    reads: list[tuple[int, int, bool]], limit: int
) -> None:
    ahead = ReadAhead(PIECE, limit)
    stop = total = 0
    for place, size, on in reads:
        start = stop if on else place
        stop = start + size
        total += size
        _, told = ahead.after(start, stop)
        assert told % PIECE == 0
        assert 0 <= told <= min(limit, total // 8)
