"""Interrupts at every step: none is lost, none leaves threads or files behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import regather
from regather.tasks import Thread, interrupts_held, join_all, pool, run_all, run_apart
from tests.support.files import MIB, random_file
from tests.support.net import PATIENCE, wait_until


class _Alarm(Exception):
    """Interrupts the main thread, wherever it waits."""


@contextmanager
def _alarm_soon() -> Iterator[None]:
    def ring(*_: object) -> None:
        raise _Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_thread_whose_join_was_interrupted_is_alive_until_it_ends() -> None:
    go_on = threading.Event()
    ended: list[str] = []

    def work() -> None:
        go_on.wait(PATIENCE)
        ended.append("ended")

    thread = Thread(work)
    thread.start()
    with pytest.raises(_Alarm), _alarm_soon():
        thread.join()
    assert thread.is_alive()
    thread.join(0.01)
    assert thread.is_alive()
    go_on.set()
    thread.join()
    assert ended == ["ended"]
    assert not thread.is_alive()


def test_a_thread_that_was_never_started_cannot_be_joined_and_is_not_alive() -> None:
    thread = Thread(lambda: None)
    assert not thread.is_alive()
    join_all([thread])
    with pytest.raises(RuntimeError):
        thread.join()


def test_threads_do_not_survive_a_fork() -> None:
    go_on = threading.Event()
    thread = Thread(go_on.wait)
    thread.start()
    child = os.fork()
    if not child:
        thread.join()
        os._exit(7 if not thread.is_alive() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    go_on.set()
    thread.join()


# -- held back --------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_waits_for_a_check(number: signal.Signals) -> None:
    before = signal.signal(number, signal.default_int_handler)
    try:
        with interrupts_held() as interrupts:
            signal.raise_signal(number)
            assert interrupts.pending
            with pytest.raises(KeyboardInterrupt), interrupts_held() as inner:
                inner.check()
            signal.raise_signal(number)  # a second one changes nothing
            interrupts.check()
        assert signal.getsignal(number) is signal.default_int_handler
    finally:
        signal.signal(number, before)


def test_what_nobody_looked_for_is_raised_at_the_end() -> None:
    done: list[str] = []

    def interrupted(error: Exception | None = None) -> None:
        with interrupts_held():
            signal.raise_signal(signal.SIGINT)
            if error is not None:
                raise error
            done.append("all of it")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert done
    with pytest.raises(KeyboardInterrupt):
        interrupted(ValueError("what failed is not what ends a program"))
    with interrupts_held() as interrupts:
        signal.raise_signal(signal.SIGINT)
        interrupts.forget()


def test_handlers_of_others_are_called_and_stay() -> None:
    heard: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        heard.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        with interrupts_held() as interrupts:
            signal.raise_signal(signal.SIGINT)
            assert (heard, interrupts.pending) == ([signal.SIGINT], False)
        with interrupts_held():
            signal.signal(signal.SIGINT, signal.default_int_handler)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with interrupts_held():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_hold_nothing_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    found: list[Any] = []

    def work() -> None:
        with interrupts_held() as interrupts:
            found.append((signal.getsignal(signal.SIGINT), interrupts.pending))

    thread = Thread(work)
    thread.start()
    thread.join()
    assert found == [(before, False)]


# -- together ---------------------------------------------------------------------------------


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


def test_interrupts_wait_for_what_the_jobs_still_do() -> None:
    stopped = threading.Event()
    begun: list[int] = []
    ended: list[int] = []

    def job(number: int) -> None:
        begun.append(number)
        assert stopped.wait(PATIENCE)
        time.sleep(0.05)  # clearing away takes a moment
        ended.append(number)

    def tick() -> None:
        if len(begun) == 5:  # one that has not begun never begins
            signal.raise_signal(signal.SIGINT)

    def stop() -> None:
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
        stopped.set()

    with pytest.raises(KeyboardInterrupt):
        run_all(
            [partial(job, n) for n in range(5)],
            name="t",
            stop=stop,
            tick=tick,
        )
    assert sorted(ended) == list(range(5))


def test_a_job_that_hangs_is_waited_for_no_longer_than_the_grace() -> None:
    release = threading.Event()
    with pytest.raises(KeyboardInterrupt):
        run_all(
            [lambda: release.wait(PATIENCE)],
            name="t",
            stop=lambda: None,
            tick=lambda: signal.raise_signal(signal.SIGINT),
            grace=0.1,
        )
    assert not release.is_set()
    release.set()


def test_an_error_stops_the_others_and_begins_no_more() -> None:
    stopped, begun = threading.Event(), []

    def fail() -> None:
        begun.append("fail")
        raise ValueError("first")

    def wait() -> None:
        begun.append("wait")
        assert stopped.wait(PATIENCE)
        raise ValueError("second")

    jobs = [wait, fail, *[lambda: begun.append("more")] * 10]
    with pytest.raises(ValueError, match="first"):
        run_all(jobs, name="t", stop=stopped.set, at_once=2)
    assert sorted(begun) == ["fail", "wait"]


def test_an_error_of_the_tick_ends_all() -> None:
    stopped, ended = threading.Event(), []

    def job() -> None:
        assert stopped.wait(PATIENCE)
        ended.append(1)

    def tick() -> None:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        run_all([job], name="t", stop=stopped.set, tick=tick)
    assert ended


def test_leaving_a_pool_waits_for_what_runs_and_drops_what_does_not() -> None:
    began: list[int] = []
    ended: list[int] = []
    go_on = threading.Event()

    def work(number: int) -> None:
        began.append(number)
        go_on.wait(PATIENCE)
        ended.append(number)

    def interrupted() -> None:
        with pool(2) as threads:
            for number in range(9):
                threads.submit(work, number)
            wait_until(lambda: len(began) == 2)
            threading.Timer(0.1, go_on.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert sorted(began) == sorted(ended) == [0, 1]


def test_work_in_a_thread_of_its_own_is_cancelled_and_waited_for() -> None:
    cancelled = threading.Event()
    ended: list[str] = []

    def work() -> str:
        signal.raise_signal(signal.SIGINT)  # the handler runs in the main thread
        cancelled.wait(PATIENCE)
        signal.raise_signal(signal.SIGINT)
        ended.append("ended")
        return "result"

    with pytest.raises(KeyboardInterrupt):
        run_apart(work, cancelled.set)
    assert ended == ["ended"]
    assert run_apart(lambda: "result", cancelled.set) == "result"
    with pytest.raises(ZeroDivisionError):
        run_apart(lambda: 1 // 0, cancelled.set)


# -- at every step ----------------------------------------------------------------------------


def _steps(call: Callable[[], object], at: int | None = None) -> int:
    """Call it, interrupted twice from step ``at`` on; returns how many steps there were.

    A step is a line of ours, or of Python's own on threads, in this thread.
    """
    count = 0

    def trace(frame: FrameType, event: str, argument: object) -> Any:
        nonlocal count
        name = frame.f_code.co_filename
        if "regather/" not in name and not name.endswith("threading.py"):
            return None
        if event == "line":
            count += 1
            if at is not None and at <= count < at + 2:
                signal.raise_signal(signal.SIGINT)
        return trace

    sys.settrace(trace)
    try:
        call()
    finally:
        sys.settrace(None)
    return count


def _open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("parity", [0, 2])
def test_an_interrupted_split_leaves_all_or_nothing(tmp_path: Path, parity: int) -> None:
    path = random_file(tmp_path / "f", MIB // 4)
    options: dict[str, Any] = {"fragments": 2, "parity": parity, "piece_size": 64 << 10}
    all_there = set(regather.split(path, tmp_path / "o", **options).fragments)
    steps = _steps(lambda: regather.split(path, tmp_path / "p", **options))
    threads, files = threading.active_count(), _open_files()
    outcomes = set()
    for at in range(1, steps, max(1, steps // 300)):
        out = tmp_path / f"o{at}"
        with suppress(
            KeyboardInterrupt
        ):  # how many steps there are is a little different each time
            _steps(lambda out=out: regather.split(path, out, **options), at)  # type: ignore[misc]
        assert (threading.active_count(), _open_files()) == (threads, files), at
        left = sorted(p.name for p in out.rglob("*")) if out.exists() else []
        outcomes.add(len(left))
    assert outcomes == {0, len(all_there) + 1}


def test_an_interrupted_file_is_there_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "f"
    steps = _steps(lambda: regather.generate(path, 3000))
    threads, files = threading.active_count(), _open_files()
    for at in range(1, steps, max(1, steps // 25)):
        path.unlink(missing_ok=True)
        with suppress(KeyboardInterrupt):
            _steps(lambda: regather.generate(path, 3000), at)
        assert (threading.active_count(), _open_files()) == (threads, files)
        assert os.listdir(tmp_path) in ([], ["f"])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_in_order_however_often_it_is_told(
    tmp_path: Path, number: signal.Signals
) -> None:
    path, out = random_file(tmp_path / "f", 64 * MIB), tmp_path / "o"
    command = [sys.executable, "-m", "regather", "split", str(path), "--out", str(out), "-q"]
    process = subprocess.Popen([*command, "--parity", "1"], stderr=subprocess.PIPE, text=True)
    wait_until(lambda: out.exists() or process.poll() is not None)
    while process.poll() is None:
        process.send_signal(number)
        time.sleep(0.001)
    assert process.communicate()[1] in ("regather: interrupted\n", "")
    if process.returncode:
        assert process.returncode == 130
        assert os.listdir(out) == []


def test_a_background_job_ignores_what_its_shell_ignores(tmp_path: Path) -> None:
    path, out = random_file(tmp_path / "f", 20 * MIB), tmp_path / "o"
    command = [sys.executable, "-m", "regather", "split", str(path), "--out", str(out), "-q"]
    process = subprocess.Popen(["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command])
    wait_until(lambda: out.exists() or process.poll() is not None)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
    assert process.returncode == 0
