"""One file that threads seek and read in two steps, as duckdb's do."""

from __future__ import annotations

import _thread
import threading
from collections.abc import Callable

from regather.reading.position import Position


def _elsewhere(step: Callable[[], object]) -> None:
    """Do it in a thread that ``threading`` has not started, and wait until it is done."""
    done = threading.Event()

    def run() -> None:
        step()
        done.set()

    _thread.start_new_thread(run, ())
    assert done.wait(60)


def test_a_thread_that_is_not_of_python_reads_where_it_has_moved_to() -> None:
    position = Position(0, 100)
    moved, read = threading.Event(), threading.Event()
    took = []

    def foreign() -> None:
        position.seek(10, 0)
        moved.set()
        assert read.wait(60)
        took.append(position.take(5))
        moved.set()

    _thread.start_new_thread(foreign, ())
    assert moved.wait(60)
    moved.clear()
    position.seek(50, 0)
    assert position.take(7) == (50, 7)
    read.set()
    assert moved.wait(60)
    assert took == [(10, 5)]
    assert position.at == 15


def test_threads_that_take_turns_have_one_position() -> None:
    position = Position(0, 100)
    position.seek(0, 2)
    moved = threading.Thread(target=lambda: (position.seek(0, 0), position.take(10)))
    moved.start()
    moved.join(60)
    assert position.take(5) == (10, 5)


def test_a_read_without_a_move_ends_the_claims() -> None:
    """A file that two threads rewind, and then read on from there, a part each."""
    position = Position(40, 100)
    position.seek(0, 0)
    took: list[object] = []
    _elsewhere(lambda: took.extend([position.seek(0, 0), position.take(10), position.take(10)]))
    assert took == [0, (0, 10), (10, 10)]
    assert position.take(10) == (20, 10)
