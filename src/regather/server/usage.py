"""How many bytes a folder's files have: counted seldom, kept up to date in between."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Callable

_ENTRIES_A_LOOK = 64
"""Entries that are counted for each time that somebody asks, at most, in the long run."""
_STALE = 10.0
"""Seconds after which all is counted again in any case: others may change the folder too."""


class Usage:
    """Bytes in all files of a folder and its sub-folders, save those whose names begin so.

    To count a folder anew for every file that is stored would take quadratic time in all. So what
    the server itself changes is added, and the folder is counted again after as many questions as
    make up for it, or after ten seconds. Not for several threads at once.
    """

    def __init__(
        self, folder: str, *, but: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folder = folder
        self._but = but
        self._clock = clock
        self._total = 0
        self._entries = 0
        self._asked = 0
        self._counted_at = -_STALE

    def total(self) -> int:
        """The bytes. May wait for the disk; raises OSError where the folder cannot be read."""
        self._asked += 1
        stale = self._clock() - self._counted_at >= _STALE
        if stale or self._asked * _ENTRIES_A_LOOK >= self._entries:
            self._count()
        return self._total

    def changed(self, by: int) -> None:
        """Note that files have become so many bytes more (or fewer)."""
        self._total += by

    def _count(self) -> None:
        os.scandir(self._folder).close()
        self._total = self._entries = self._asked = 0
        for folder, _, names in os.walk(self._folder):
            self._entries += 1 + len(names)
            for name in names:
                if not name.startswith(self._but):
                    with contextlib.suppress(OSError):
                        status = os.lstat(os.path.join(folder, name))
                        self._total += status.st_size if stat.S_ISREG(status.st_mode) else 0
        self._counted_at = self._clock()
