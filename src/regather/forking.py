"""Locks of the whole process, and processes that are forked."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

_MOST_SECONDS = 1.0
"""A server that does not answer must not keep a program from forking."""


def free_after_fork(lock: threading.Lock) -> threading.Lock:
    """A lock that is free in a forked child, although another thread may hold it at that moment."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(
            before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release
        )
    return lock


class NotWhileForking:
    """Keeps forks from happening in the midst of something, for a second at most.

    Locks of a C library that another thread holds at that moment are held in the child for ever.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._active = 0
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._before,
                after_in_parent=self._changed.release,
                after_in_child=self._in_child,
            )

    def _before(self) -> None:
        self._changed.acquire()
        self._changed.wait_for(lambda: not self._active, _MOST_SECONDS)

    def _in_child(self) -> None:
        self._active = 0  # the threads that were at it are not here
        self._changed.release()

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """In the block nobody forks."""
        with self._changed:
            self._active += 1
        try:
            yield
        finally:
            with self._changed:
                self._active -= 1
                self._changed.notify_all()
