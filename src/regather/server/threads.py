"""Work that may wait for the disk, beside the event loop."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from functools import partial
from typing import ParamSpec, TypeVar

_P = ParamSpec("_P")
_T = TypeVar("_T")


async def in_thread(work: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call what may wait for the disk in a thread; a cancellation waits for its end too.

    So nobody closes a file that a thread still writes to. Raises OSError where there can be no more
    threads.
    """
    try:
        running = asyncio.get_running_loop().run_in_executor(None, partial(work, *args, **kwargs))
    except RuntimeError as error:  # Python has no errno for it
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
