"""Memory that the readers of several files share, so that all of them stay within one limit."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Protocol

from regather.engine.room_sizes import ReaderShare, RoomSizes, room_sizes
from regather.model import Layout
from regather.store.memory_budget import MemoryBudget
from regather.tasks import Thread

_ROWS_SHARE = 4
"""The limit divided by this is for rows."""
_FILES = 4
"""How many files can compute rows at a time, if the rows are not very large."""


class RowHolder(Protocol):
    """A session that computes rows only while it has room for them."""

    def begin_rows(self) -> None:
        """There is room now."""

    def end_rows(self) -> None:
        """Begin no more rows, and give the room back when none is under way."""


class RowTurns:
    """Room for pieces that are there for the sake of others in their row.

    A row needs all its pieces at once. So a session has room for all of its rows, or it waits for
    its turn and begins none; one that has room finishes them, for those who wait.
    """

    def __init__(self, size: int) -> None:
        """``size`` is in bytes."""
        self.size = self._left = size
        self._waiting: OrderedDict[RowHolder, int] = OrderedDict()
        """Bytes that each needs, the one that waits longest first."""
        self._granted: dict[RowHolder, int] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = Thread(self._work, name="regather-rows", daemon=True)

    def grow(self, more: int) -> None:
        """There is more room."""
        with self._changed:
            self.size += more
            self._left += more

    def ask(self, holder: RowHolder, need: int) -> None:
        """Have ``begin_rows`` called, soon, unless that is asked for already."""
        with self._changed:
            if holder not in self._granted:
                self._waiting.setdefault(holder, need)
            if self._thread.ident is None:
                self._thread.start()
            self._changed.notify()

    def give_back(self, holder: RowHolder) -> None:
        """No row is under way, and none will be; or the session has ended."""
        with self._changed:
            self._left += self._granted.pop(holder, 0)
            self._waiting.pop(holder, None)
            self._changed.notify()

    def close(self) -> None:
        """End the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._waiting)
                if self._closed:
                    return
                holder, need = next(iter(self._waiting.items()))
                fits = need <= self._left
                if fits:
                    del self._waiting[holder]
                    self._granted[holder] = need
                    self._left -= need
                others = list(self._granted)
            # They take their own locks, which are held by who asks and gives back.
            if fits:
                holder.begin_rows()
            else:
                for other in others:
                    other.end_rows()
                self._await(holder, need)

    def _await(self, holder: RowHolder, need: int) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or need <= self._left or holder not in self._waiting
            )


class SharedRoom:
    """One limit for the pieces of any number of files. Close it after their sessions."""

    def __init__(self, limit: int) -> None:
        """``limit`` is in bytes; one piece and one row of the largest file have room anyway."""
        rows = limit // _ROWS_SHARE
        self.turns = RowTurns(rows)
        self.budget = MemoryBudget(limit)
        self.share = ReaderShare(limit - rows, fair=True)
        self._lock = threading.Lock()

    def sizes(self, layout: Layout) -> RoomSizes:
        """What a session of one more file may take up."""
        with self._lock:
            sizes = room_sizes(layout, self.share.limit, self.turns.size // _FILES, parity=True)
            more_rows = max(sizes.total - sizes.memory - self.turns.size, 0)
            more = max(sizes.memory - self.share.limit, 0)
            self.turns.grow(more_rows)
            self.share.grow(more)
            self.budget.limit += more + more_rows
        return sizes

    def close(self) -> None:
        """End its thread."""
        self.turns.close()
