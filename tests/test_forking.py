"""Locks of the whole process are free in a forked child."""

from __future__ import annotations

import threading

import pytest

from regather.forking import NotWhileForking, free_after_fork
from tests.support.forks import in_child
from tests.support.net import wait_until

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
not_while_forking = NotWhileForking()
"""One for all tests: what is to be done at forks stays for the rest of the process."""


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


def test_a_fork_waits_for_the_end_of_a_block_and_the_child_is_free() -> None:
    begun, go_on, held = threading.Event(), threading.Event(), threading.Lock()

    def work() -> None:
        with not_while_forking(), held:
            begun.set()
            go_on.wait(30)

    def child() -> None:
        with not_while_forking():
            assert held.acquire(timeout=10)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(30)
    timer = threading.Timer(0.1, go_on.set)
    timer.start()
    in_child(child)
    thread.join(30)
    timer.join(30)
    wait_until(lambda: not held.locked())


def test_a_block_that_does_not_end_is_not_waited_for_long() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        with not_while_forking():
            begun.set()
            go_on.wait(30)

    def child() -> None:
        with not_while_forking():
            pass

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(30)
    in_child(child)
    go_on.set()
    thread.join(30)
