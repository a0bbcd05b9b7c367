"""Events as sentences: equal ones collapsed with a count, the last 500."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import Literal

from msgspec import Struct

from regather.errors import printable

MOST = 500
_MOST_TEXT = 400

Level = Literal["info", "good", "warning", "bad"]


class EventRow(Struct):
    """One event, or several equal ones."""

    id: int
    seq: int
    """Grows with each change of any event."""
    first: float
    """Unix time of the first of them."""
    at: float
    """Unix time of the last of them."""
    count: int
    level: Level
    text: str
    servers: list[str]
    """URLs of the servers that it is about."""


class EventLog:
    """The last events. For any thread."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """``clock`` gives Unix time."""
        self._clock = clock
        self._rows: OrderedDict[object, EventRow] = OrderedDict()
        self._ids = count(1)
        self._lock = threading.Lock()
        self.seq = 0
        """That of the last change."""

    def add(
        self,
        text: str,
        *,
        servers: tuple[str, ...] = (),
        level: Level = "info",
        same: object = None,
    ) -> EventRow:
        """Note an event; return its row.

        Events with an equal ``same`` (default: the text) become one row, with the text of the last
        and a count.
        """
        now = self._clock()
        key = text if same is None else same
        with self._lock:
            self.seq += 1
            row = self._rows.pop(key, None)
            if row is None:
                row = EventRow(next(self._ids), self.seq, now, now, 0, level, "", [])
            row.seq, row.at, row.level = self.seq, now, level
            row.text, row.servers = printable(text[:_MOST_TEXT]), list(servers)
            row.count += 1
            self._rows[key] = row
            while len(self._rows) > MOST:
                self._rows.popitem(last=False)
        return row

    def amend(self, row: EventRow, text: str, servers: tuple[str, ...]) -> None:
        """Say how an event ended, in place of its text."""
        with self._lock:
            self.seq += 1
            row.seq, row.text = self.seq, printable(text[:_MOST_TEXT])
            row.servers = list(servers)

    def since(self, seq: int = 0) -> list[EventRow]:
        """Copies of the rows that changed after ``seq``, the oldest first."""
        with self._lock:
            return [
                EventRow(*(getattr(row, name) for name in row.__struct_fields__))
                for row in self._rows.values()
                if row.seq > seq
            ]
