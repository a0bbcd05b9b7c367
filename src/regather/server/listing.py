"""The names of a folder's files, for many who ask, whatever the size of the folder."""

from __future__ import annotations

import asyncio
import heapq
import os
import time
from collections.abc import Callable
from itertools import chain, count, islice

from regather.server.threads import in_thread

_MAX_LISTED = 1000
_STEP = 1000
"""Entries that are looked at before others have their turn."""
_SETTLED_NS = 2 * 10**9
"""A folder that changed less than so long ago may change again without a later time."""


class Listing:
    """Names of the files directly in a folder, links aside, one a line, sorted, at most 1000.

    ``listed`` tells which names may be shown. A folder is read once for all who ask meanwhile, a
    step at a time, and not again while its modification time is the same.
    """

    def __init__(self, folder: str, listed: Callable[[str], bool]) -> None:
        self._folder = folder
        self._listed = listed
        self._lock = asyncio.Lock()
        self._order = count()
        self._began = -1
        self._text = ""
        self._state: tuple[int, int] | None = None  # of what the text tells, where that is sure

    async def text(self) -> str:
        """The lines, as they were at some time after the call. Raises OSError."""
        asked = next(self._order)
        async with self._lock:
            if self._began < asked:
                began = next(self._order)
                await self._read()
                self._began = began
            return self._text

    async def _read(self) -> None:
        status = await in_thread(os.stat, self._folder)
        state = (status.st_ino, status.st_mtime_ns)
        if state == self._state:
            return
        settled = status.st_mtime_ns < time.time_ns() - _SETTLED_NS
        names: list[str] = []
        with await in_thread(os.scandir, self._folder) as entries:
            while step := await in_thread(lambda: list(islice(entries, _STEP))):
                names = await in_thread(self._best, names, step)
        self._text = "".join(f"{name}\n" for name in names)
        self._state = state if settled else None

    def _best(self, names: list[str], entries: list[os.DirEntry[str]]) -> list[str]:
        more = (
            entry.name
            for entry in entries
            if entry.is_file(follow_symlinks=False)
            and entry.name.isprintable()
            and self._listed(entry.name)
        )
        return heapq.nsmallest(_MAX_LISTED, chain(names, more))
