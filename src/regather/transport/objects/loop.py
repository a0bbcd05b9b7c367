"""The event loop that obstore runs in.

obstore's calls that block cannot be broken off; those that are awaited can. So one thread runs a
loop for all of them, and everybody else waits for what comes out of it.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from regather.forking import free_after_fork
from regather.tasks import Thread
from regather.transport.base import Failure, RequestFailed

__all__ = ["call_soon", "submit"]

_QUIET = 0.03
"""Seconds without a thread of obstore's in Python before the process may end."""
_MOST = 3.0
_T = TypeVar("_T")


class _Loop:
    """The loop of this process, made when it is first needed, ended before Python ends."""

    def __init__(self) -> None:
        self._lock = free_after_fork(threading.Lock())
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None
        self._owner = 0

    def get(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                atexit.register(self._end)
                self._loop, self._owner = asyncio.new_event_loop(), os.getpid()
                self._thread = Thread(self._loop.run_forever, name="obstore", daemon=True)
                self._thread.start()
            elif self._owner != os.getpid():  # obstore's own threads do not survive it either
                raise RequestFailed(
                    Failure.BAD_RESPONSE,
                    "object stores cannot be used after a fork: start processes with spawn or "
                    "forkserver",
                )
            return self._loop

    def _end(self) -> None:
        """Leave obstore nothing to do.

        A thread of obstore's that hands over a result, or hears of a cancellation, is in Python
        for a moment; if Python ends just then, the process aborts.
        """
        if self._loop is None or self._thread is None or self._owner != os.getpid():
            return
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop)
        self._thread.join(_MOST)
        quiet = time.monotonic()
        until = quiet + _MOST
        while (now := time.monotonic()) < until and now - quiet < _QUIET:
            time.sleep(_QUIET / 6)
            if _strangers():
                quiet = time.monotonic()


_loop = _Loop()


def submit(work: Coroutine[Any, Any, _T]) -> concurrent.futures.Future[_T]:
    """Run ``work`` in the loop. Cancel what is returned to break it off.

    Raises RequestFailed in the child of a process that used it.
    """
    try:
        return asyncio.run_coroutine_threadsafe(work, _loop.get())
    except RequestFailed:
        work.close()
        raise


def call_soon(call: Callable[[], object]) -> None:
    """Call something in the loop's thread."""
    _loop.get().call_soon_threadsafe(call)


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    asyncio.get_running_loop().stop()


def _strangers() -> bool:
    """Whether threads that Python did not start are in Python now."""
    ours = {t.ident for t in threading.enumerate() if type(t).__name__ != "_DummyThread"}
    return any(ident not in ours for ident in sys._current_frames())
