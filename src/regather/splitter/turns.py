"""Worker threads that take turns, and stop together where one fails."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from regather.tasks import run_all


class Turns:
    """Lets workers that finish out of order take their turns in order."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next = 0
        self.stopped = False

    def wait_for(self, number: int) -> bool:
        """Wait for the turn of ``number``; False where all are to stop."""
        with self._changed:
            self._changed.wait_for(lambda: self._next == number or self.stopped)
            return not self.stopped

    def over(self) -> None:
        """Pass the turn on."""
        with self._changed:
            self._next += 1
            self._changed.notify_all()

    def stop(self) -> None:
        """Let all others stop."""
        with self._changed:
            self.stopped = True
            self._changed.notify_all()


def run_workers(
    work: Callable[[], None], turns: Turns, most: int, *others: Callable[[], None]
) -> None:
    """Run ``work`` in a thread a core and one more, ``most`` at most; ``others`` in one each.

    Raises what one of them raised, after all have ended.
    """
    count = min((os.cpu_count() or 1) + 1, max(most, 1))
    # However long it takes: who went on would close files that others write to.
    run_all([*others, *[work] * count], name="split", stop=turns.stop, grace=None)
