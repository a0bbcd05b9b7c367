"""Jobs in threads of their own, waited for until the last one has ended, also when interrupted.

Threads are not joined: in Python before 3.13 a ``Thread.join`` that a signal interrupts takes the
thread for ended while it runs, and whoever joins it again goes on while it still works.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence

from regather.errors import RegatherError

__all__ = ["run_all"]

_TICK = 0.1
_GRACE = 10.0
"""Seconds for jobs to end once they are stopped: one may hang in a name look-up."""


def run_all(
    jobs: Sequence[Callable[[], object]],
    *,
    name: str,
    stop: Callable[[], None],
    tick: Callable[[], None] | None = None,
    at_once: int | None = None,
) -> None:
    """Run all jobs, each in a thread, at most ``at_once`` at a time; return when all have ended.

    ``tick`` is called several times a second meanwhile, and once more at the end, in the caller's
    thread. Where it or a job raises, or the caller is interrupted, ``stop`` is called, which must
    make the other jobs end soon; jobs not yet begun never begin. Then, when **all have ended** or
    10 s later, the first error is raised. A second interruption is raised at once.
    """
    _Run(jobs, stop).run(name, tick, min(len(jobs), at_once or len(jobs)))


class _Run:
    def __init__(self, jobs: Sequence[Callable[[], object]], stop: Callable[[], None]) -> None:
        self._jobs = iter(jobs)
        self._stop = stop
        self._lock = threading.Lock()
        self._begun: set[int] = set()
        self._ended: set[int] = set()
        self._closing = False
        self._errors: list[BaseException] = []
        # Only wakes whoever waits. What counts are the sets: an interruption may swallow a word.
        self._words: queue.SimpleQueue[None] = queue.SimpleQueue()

    def run(self, name: str, tick: Callable[[], None] | None, count: int) -> None:
        try:
            for number in range(count):
                self._start(number, name)
            ended = False
            while not ended:
                ended = len(self._ended) == count
                if not ended:
                    self._wait()
                if tick is not None:
                    tick()
                if self._errors:
                    raise self._errors[0]
        except BaseException:
            self._closing = True
            self._stop()
            until = time.monotonic() + _GRACE
            while not self._begun <= self._ended and time.monotonic() < until:
                self._wait()
            raise

    def _start(self, number: int, name: str) -> None:
        thread = threading.Thread(
            target=self._work, args=(number,), name=f"regather-{name}-{number}", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            raise RegatherError(
                f"this machine allows no more threads ({error})",
                help="use fewer --connections, or raise the limit (ulimit -u)",
            ) from None

    def _work(self, number: int) -> None:
        self._begun.add(number)
        try:
            while not self._closing and not self._errors:
                with self._lock:
                    job = next(self._jobs, None)
                if job is None:
                    return
                job()
        except BaseException as error:
            self._errors.append(error)
            self._stop()
        finally:
            self._ended.add(number)
            self._words.put(None)

    def _wait(self) -> None:
        try:
            self._words.get(timeout=_TICK)
        except queue.Empty:
            return
