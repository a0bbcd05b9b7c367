"""Pieces that wait in memory: a budget, and nothing lost of it."""

from __future__ import annotations

from regather.engine.row_buffers import RowBuffers

SIZE = 16


def buffer(byte: int) -> memoryview:
    return memoryview(bytearray([byte]) * SIZE)


def test_a_piece_waits_in_the_buffer_it_came_in() -> None:
    waiting = RowBuffers(1, SIZE, lambda fragment, row: False)
    came = buffer(7)
    other = waiting.hold(3, 0, came, 10)
    assert other is not None
    assert other.obj is not came.obj
    assert len(other) == SIZE
    kept = waiting.get(3, 0)
    assert kept is not None
    assert kept.obj is came.obj
    assert kept == bytes([7]) * 10
    assert waiting.get(3, 1) is None


def test_no_room_until_a_row_is_through() -> None:
    waiting = RowBuffers(2, SIZE, lambda fragment, row: False)
    assert waiting.hold(0, 0, buffer(1), SIZE) is not None
    assert waiting.hold(1, 0, buffer(2), SIZE) is not None
    for _ in range(100):
        assert waiting.hold(0, 1, buffer(3), SIZE) is None
    waiting.release((0, 1, 2), 0)
    assert waiting.get(0, 0) is None
    assert waiting.hold(0, 1, buffer(3), SIZE) is not None
    assert waiting.hold(1, 1, buffer(4), SIZE) is not None
    assert waiting.hold(2, 1, buffer(5), SIZE) is None


def test_a_piece_that_comes_twice_takes_one_buffer() -> None:
    waiting = RowBuffers(1, SIZE, lambda fragment, row: False)
    waiting.hold(0, 0, buffer(1), SIZE)
    again = buffer(1)
    assert waiting.hold(0, 0, again, SIZE) is again
    waiting.release((0,), 0)
    assert waiting.hold(0, 1, buffer(1), SIZE) is not None
    assert waiting.hold(0, 2, buffer(1), SIZE) is None


def test_rows_that_were_completed_otherwise_make_room() -> None:
    is_obsolete = {(0, 0), (1, 1)}
    waiting = RowBuffers(3, SIZE, lambda fragment, row: (fragment, row) in is_obsolete)
    for fragment, row in ((0, 0), (0, 1), (1, 1)):
        assert waiting.hold(fragment, row, buffer(row), SIZE) is not None
    assert waiting.hold(2, 2, buffer(2), SIZE) is not None
    there = [piece for piece in ((0, 0), (0, 1), (1, 1), (2, 2)) if waiting.get(*piece)]
    assert there == [(0, 1), (2, 2)]


def test_what_grows_gives_all_its_memory_back_with_the_last_piece() -> None:
    """Of many files, few compute at a time: what comes next has as much room as before."""
    asked: list[int] = []

    def is_obsolete(fragment: int, row: int) -> bool:
        asked.append(row)
        return False

    waiting = RowBuffers(2, SIZE, is_obsolete, grows=True)
    for row in range(2):
        for fragment in range(2):
            assert waiting.hold(fragment, row, buffer(row), SIZE) is not None
        assert asked == []
        waiting.release((0,), row)
        assert waiting.in_use
        waiting.release((1,), row)
        assert not waiting.in_use
