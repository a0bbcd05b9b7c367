"""Locks of the whole process are free in a forked child."""

from __future__ import annotations

import threading

import pytest

from regather.forking import free_after_fork
from tests.support.forks import in_child

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def test_a_lock_that_another_thread_holds_is_free_in_the_child() -> None:
    lock, over = free_after_fork(threading.Lock()), threading.Event()

    def hold() -> None:
        while not over.is_set():
            with lock:
                over.wait(0.02)

    def child() -> None:
        assert lock.acquire(timeout=5)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        for _ in range(5):
            in_child(child)
    finally:
        over.set()
        thread.join(60)
    assert lock.acquire(timeout=5)
    lock.release()
