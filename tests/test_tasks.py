"""Jobs in threads: all ended when they are said to be, whatever interrupts."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from regather.tasks import run_all

SECONDS = 20
"""Against hangs."""


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Ctrl-C raises, also where the tests were started with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt() -> None:
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


def test_every_job_is_done_and_no_more_at_once_than_allowed() -> None:
    done: list[int] = []
    lock, now, most = threading.Lock(), 0, 0

    def job(number: int) -> None:
        nonlocal now, most
        with lock:
            now, most = now + 1, max(most, now + 1)
        done.append(number)
        with lock:
            now -= 1

    ticks: list[int] = []
    run_all(
        [lambda n=n: job(n) for n in range(50)],  # type: ignore[misc]
        name="t",
        stop=lambda: None,
        tick=lambda: ticks.append(len(done)),
        at_once=3,
    )
    assert sorted(done) == list(range(50))
    assert most <= 3
    assert ticks[-1] == 50, "told once more when all is done"


def test_no_jobs_at_all() -> None:
    run_all([], name="t", stop=lambda: None)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_waits_for_what_the_jobs_still_do() -> None:
    stopped, both = threading.Event(), threading.Barrier(2)
    slow, cleaned = threading.Event(), []

    def job(first: bool) -> None:
        both.wait(SECONDS)
        if first:
            interrupt()
        assert stopped.wait(SECONDS)
        if first:
            slow.wait(0.4)  # clearing away takes a moment
        cleaned.append(first)

    with pytest.raises(KeyboardInterrupt):
        run_all([lambda: job(True), lambda: job(False)], name="t", stop=stopped.set)
    assert sorted(cleaned) == [False, True]


@pytest.mark.usefixtures("interruptible")
def test_a_second_interruption_does_not_wait() -> None:
    stopped, release, again = threading.Event(), threading.Event(), threading.Event()

    def job() -> None:
        interrupt()
        assert stopped.wait(SECONDS)
        interrupt()
        again.set()
        release.wait(SECONDS)

    try:
        with pytest.raises(KeyboardInterrupt):
            run_all([job], name="t", stop=stopped.set)
        assert again.wait(SECONDS)
        assert not release.is_set()
    finally:
        release.set()


def test_an_error_stops_the_others_and_begins_no_more() -> None:
    stopped, begun = threading.Event(), []

    def fail() -> None:
        begun.append("fail")
        raise ValueError("first")

    def wait() -> None:
        begun.append("wait")
        assert stopped.wait(SECONDS)
        raise ValueError("second")

    jobs = [wait, fail, *[lambda: begun.append("more")] * 10]
    with pytest.raises(ValueError, match="first"):
        run_all(jobs, name="t", stop=stopped.set, at_once=2)
    assert sorted(begun) == ["fail", "wait"]


def test_an_error_of_the_tick_ends_all() -> None:
    stopped, ended = threading.Event(), []

    def job() -> None:
        assert stopped.wait(SECONDS)
        ended.append(1)

    def tick() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_all([job], name="t", stop=stopped.set, tick=tick)
    assert ended
