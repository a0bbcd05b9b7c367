"""Threads that are run to their end, and interrupts that wait for a safe moment.

Two traps of Python are avoided here. Before 3.13 an interrupted ``Thread.join`` marks a running
thread as ended, so nobody waits for it any more. And an interrupt may come between any two
instructions: after a lock was taken and before it is known, after a file was made and before it
stands in a list. So ``interrupts_held`` holds interrupts back where threads and files are at stake,
and the code in it looks for them where it can stop.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from regather.errors import RegatherError

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

LOOK_SECONDS = 0.1
"""How often who waits looks for an interrupt."""
_SLICE_SECONDS = 1.0
_GRACE_SECONDS = 10.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_local = threading.local()
_T = TypeVar("_T")


class Thread(threading.Thread):
    """A thread whose ``join`` may be interrupted, and called again."""

    def __init__(
        self,
        target: Callable[..., object],
        args: Iterable[Any] = (),
        *,
        name: str | None = None,
        daemon: bool | None = None,
    ) -> None:
        super().__init__(target=target, args=args, name=name, daemon=daemon)
        self._over = False
        self._running = threading.Lock()  # the thread releases it, as its last act
        self._running.acquire()

    def begin(self) -> None:
        """Start it. Raises OSError where there can be no more threads."""
        try:
            self.start()
        except RuntimeError as error:  # Python has no errno for it
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error

    def run(self) -> None:
        """Run the target."""
        try:
            super().run()
        finally:
            self._over = True
            self._running.release()

    def join(self, timeout: float | None = None) -> None:
        """Wait for the end, ``timeout`` seconds at most."""
        until = None if timeout is None else time.monotonic() + timeout
        while self.is_alive() and not self._over and self is not threading.current_thread():
            # By slices, for another one that waits may be interrupted with the lock in its hand.
            left = (
                _SLICE_SECONDS if until is None else min(_SLICE_SECONDS, until - time.monotonic())
            )
            if left <= 0:
                return
            if self._running.acquire(timeout=left):
                self._running.release()
        # Nothing but its exit is left: to be marked as ended too early does no harm any more.
        super().join(timeout)
        self._wait_for_the_system()

    def _wait_for_the_system(self) -> None:
        """Whoever forks next is warned, by Python 3.12, as long as the system counts the thread."""
        until = time.monotonic() + _SLICE_SECONDS
        while os.path.exists(f"/proc/self/task/{self.native_id}") and time.monotonic() < until:
            time.sleep(0.001)


class Interrupts:
    """The interrupts that were held back: one is raised, those behind it change nothing."""

    def __init__(self) -> None:
        self._first: BaseException | None = None
        self._raised = False

    @property
    def pending(self) -> bool:
        """Whether one came that was not raised yet."""
        return self._first is not None and not self._raised

    def check(self) -> None:
        """Raise what came, once: call it where it is safe to stop."""
        if self._first is not None and not self._raised:
            self._raised = True
            raise self._first

    def forget(self) -> None:
        """Too late: all is done."""
        self._raised = True

    def catch(
        self, handler: Callable[[int, FrameType | None], Any]
    ) -> Callable[[int, FrameType | None], None]:
        """A signal handler that keeps what ``handler`` raises."""

        def caught(number: int, frame: FrameType | None) -> None:
            try:
                handler(number, frame)
            except BaseException as error:
                self._first = self._first or error

        return caught


@contextlib.contextmanager
def interrupts_held() -> Iterator[Interrupts]:
    """Hold back what signal handlers raise (Ctrl-C), until ``check()`` or the end.

    Only the main thread is ever interrupted, so there is nothing to hold back in others. Within
    another ``interrupts_held`` the outer one goes on. Nothing that is called in it may block for
    long, for that cannot be interrupted.
    """
    outer: Interrupts | None = getattr(_local, "interrupts", None)
    if outer is not None:
        yield outer
        return
    interrupts = Interrupts()
    before: dict[signal.Signals, tuple[Any, Any]] = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                handler = signal.getsignal(number)
                if callable(handler):  # not where signals are ignored, or end the process
                    before[number] = handler, interrupts.catch(handler)
                    signal.signal(number, before[number][1])
        _local.interrupts = interrupts
        yield interrupts
    finally:
        _local.interrupts = None
        for number, (handler, ours) in before.items():
            if signal.getsignal(number) is ours:
                signal.signal(number, handler)
        interrupts.check()


class CancelScope:
    """Ends all that is under way at once: connections are aborted, pauses are over. Thread-safe."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._aborts: set[Callable[[], None]] = set()

    @property
    def cancelled(self) -> bool:
        """Whether cancel() was called."""
        return self._ended.is_set()

    def cancel(self) -> None:
        """End everything, and whatever is added later."""
        self._ended.set()
        with self._lock:
            for abort in self._aborts:
                abort()

    def add(self, abort: Callable[[], None]) -> None:
        """Have ``abort`` called by cancel(), until discard()."""
        with self._lock:
            self._aborts.add(abort)
        if self.cancelled:
            abort()

    def discard(self, abort: Callable[[], None]) -> None:
        """The opposite of add()."""
        with self._lock:
            self._aborts.discard(abort)

    def wait(self, seconds: float) -> None:
        """Wait that long, or until all is cancelled."""
        self._ended.wait(seconds)

    def run(
        self,
        work: Callable[[int], object],
        numbers: Iterable[int],
        name: str,
        tick: Callable[[], object] | None = None,
        at_once: int | None = None,
    ) -> None:
        """``run_all`` of ``work(number)`` for each number; where one raises, all are cancelled."""
        jobs = [partial(work, number) for number in numbers]
        run_all(jobs, name=name, stop=self.cancel, tick=tick, at_once=at_once)


def run_all(
    jobs: Sequence[Callable[[], object]],
    *,
    name: str,
    stop: Callable[[], object],
    tick: Callable[[], object] | None = None,
    at_once: int | None = None,
    grace: float | None = _GRACE_SECONDS,
) -> None:
    """Run all jobs, each in a thread, at most ``at_once`` at a time; return when all have ended.

    ``tick`` is called several times a second meanwhile, and once more at the end, in the caller's
    thread. Where it or a job raises, or the caller is interrupted, ``stop`` is called, which must
    make the other jobs end soon; jobs not yet begun never begin. The first error is raised when all
    have ended, or after ``grace`` seconds: one may hang in a name look-up. Further interrupts
    change nothing.
    """
    waiting = iter(jobs)
    lock = threading.Lock()
    errors: list[BaseException] = []

    def work() -> None:
        while not errors:
            with lock:
                job = next(waiting, None)
            if job is None:
                return
            try:
                job()
            except BaseException as error:
                errors.append(error)
                stop()

    count = min(len(jobs), at_once or len(jobs))
    threads = [Thread(work, name=f"regather-{name}-{n}", daemon=True) for n in range(count)]
    with interrupts_held() as interrupts:
        try:
            for thread in threads:
                _start(thread)
            for thread in threads:
                while thread.is_alive() and not errors:
                    thread.join(LOOK_SECONDS)
                    if tick is not None:
                        tick()
                    interrupts.check()
            if tick is not None:
                tick()
            if errors:
                raise errors[0]
        except BaseException as error:
            errors.append(error)  # no job begins any more
            stop()
            join_all(threads, grace)
            raise


def _start(thread: Thread) -> None:
    try:
        thread.start()
    except RuntimeError as error:
        raise RegatherError(
            f"this machine allows no more threads ({error})",
            help="use fewer --connections, or raise the limit (ulimit -u)",
        ) from None


def join_all(threads: Iterable[Thread], patience: float | None = None) -> None:
    """Wait for the end of those that were started and are not this one; together so long at most.

    It cannot be interrupted: an interrupt is raised afterwards.
    """
    until = None if patience is None else time.monotonic() + patience
    with interrupts_held():
        for thread in threads:
            if thread.ident is not None and thread is not threading.current_thread():
                thread.join(None if until is None else max(0.0, until - time.monotonic()))


@contextlib.contextmanager
def pool(workers: int, name: str = "") -> Iterator[ThreadPoolExecutor]:
    """Threads for jobs; all have ended at the end. Where an error ends it, no job begins any more.

    Leaving it cannot be interrupted: an interrupted ``shutdown`` would leave threads at work.
    """
    from concurrent.futures import ThreadPoolExecutor  # most commands need none

    executor = ThreadPoolExecutor(workers, name)
    failed = True
    try:
        yield executor
        failed = False
    finally:
        with interrupts_held():
            executor.shutdown(cancel_futures=failed)


def run_apart(work: Callable[[], _T], cancel: Callable[[], None]) -> _T:
    """Run ``work`` in a thread of its own, where nothing is interrupted between two instructions.

    On an interrupt here ``cancel`` is called, and the interrupt raised when ``work`` has ended. In
    ``work``, ``interrupts_held`` gives the interrupts of this thread.
    """
    results: list[_T] = []
    errors: list[BaseException] = []
    with interrupts_held() as interrupts:

        def carry_out() -> None:
            _local.interrupts = interrupts
            try:
                results.append(work())
            except BaseException as error:
                errors.append(error)

        thread = Thread(carry_out, name="regather-work")
        thread.start()
        cancelled = False
        while thread.is_alive():
            thread.join(LOOK_SECONDS)
            if interrupts.pending and not cancelled:
                cancelled = True
                cancel()
        thread.join()
        interrupts.check()
    if errors:
        raise errors[0]
    return results[0]
