"""Worker threads that take turns, and stop together where one fails."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from regather.tasks import Thread, run_together


class Turns:
    """Lets workers that finish out of order take their turns in order."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next = 0
        self.failed: BaseException | None = None

    def wait_for(self, number: int) -> bool:
        """Wait for the turn of ``number``; False where another worker failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._next == number or self.failed is not None)
            return self.failed is None

    def over(self) -> None:
        """Pass the turn on."""
        with self._changed:
            self._next += 1
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Let all others stop."""
        with self._changed:
            self.failed = self.failed or error
            self._changed.notify_all()


def run_workers(
    work: Callable[[], None], turns: Turns, most: int, *others: Callable[[], None]
) -> None:
    """Run ``work`` in a thread a core and one more, ``most`` at most; ``others`` in one each.

    Raises what one of them raised, after all have ended.
    """

    def guarded(job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as error:
            turns.fail(error)

    count = min((os.cpu_count() or 1) + 1, max(most, 1))
    threads = [Thread(guarded, (job,)) for job in (*others, *[work] * count)]
    run_together(threads, turns.fail)
    if turns.failed is not None:
        raise turns.failed
