"""Work that may wait for the disk, beside the event loop."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")


async def in_thread(work: Callable[[], _T]) -> _T:
    """Do what may wait for the disk in a thread; a cancellation waits for its end too.

    So nobody closes a file that a thread still writes to. Raises OSError where there can be no more
    threads.
    """
    try:
        running = asyncio.get_running_loop().run_in_executor(None, work)
    except RuntimeError as error:  # Python has no errno for it
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
