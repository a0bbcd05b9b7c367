"""A session with one reader, that reads a file in order and has all the room."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from regather.engine.rate_limit import RateLimiter
from regather.engine.session import Session
from regather.engine.tally import SourceTally
from regather.model import Layout, Source
from regather.planner import Planner
from regather.store.slots import SlotStore
from regather.transport import Connection

if TYPE_CHECKING:
    from regather.store.cached_file import CachedFile

_WINDOW_BYTES, _CODED_WINDOW_BYTES = 64 << 20, 40 << 20
"""Pieces that wait in memory for the reader; with parity, rows take the rest of the room."""
_SPOOL_STEP = 4
"""All that the spool has room for is asked for at any moment, so that all sources work ahead."""
_TOGETHER_SHARE = 8
"""This part of the window, at most, is given at once: each time costs its thread a turn."""
_FLIGHT_BYTES = 24 << 20
_MOST_REQUESTS = 24
_WATCH_SECONDS = 0.1


class StreamingSession(Session):
    """Verified pieces of one file, one after the other. Close it."""

    def __init__(
        self,
        layout: Layout,
        sources: Sequence[Source],
        connect: Callable[[str], Connection],
        tallies: Sequence[SourceTally],
        *,
        connections: int,
        retries: int,
        limiter: RateLimiter | None,
        watch: Callable[[], None],
        more: Callable[[Sequence[int]], bool] | None,
        spool: int,
    ) -> None:
        """``tallies`` has, by source, its tally; ``watch`` and ``more`` are as in Engine.run.

        ``spool`` bytes of pieces may wait on the disk; 0: they wait in memory.
        """
        self._spool = spool
        self._at = 0
        """The piece that is read, or waited for if it is not there."""
        self.in_memory = not spool
        self._watch, self._watch_seconds, self._more = watch, _WATCH_SECONDS, more
        largest = max(layout.largest_piece, 1)
        super().__init__(
            layout,
            sources,
            connect,
            connections=connections,
            retries=retries,
            max_requests=max(2, min(_MOST_REQUESTS, _FLIGHT_BYTES // largest)),
            memory=min(spool, layout.size)
            or (_CODED_WINDOW_BYTES if layout.sets else _WINDOW_BYTES),
            limiter=limiter,
            tallies=tallies,
        )

    def _make_store(self, limit: int, cache: CachedFile | None) -> SlotStore:
        if self._spool:  # parity waits there too, as many rows may wait for later pieces
            sets = self._layout.sets
            limit += max((limit * len(s.parity) // len(s.data) for s in sets), default=0)
        return SlotStore(self._layout, limit, on_disk=bool(self._spool))

    @property
    def planner(self) -> Planner:
        """What knows the state of the sources."""
        return self._planner

    def is_for_later(self, number: int) -> bool:
        """A piece behind those that are wanted, unless the reader waits for one."""
        return self._at < number and self._store.has(self._at) and not self._closed

    def in_order(
        self, numbers: range, waits: Callable[[int], object] = lambda number: None
    ) -> Iterator[list[memoryview]]:
        """Give pieces in this order; as many as there is room for are fetched meanwhile.

        Those that are there are given together, and are right until the next are asked for. The
        last one comes alone: who checks the whole may hold it back. Raises as ``read`` does.
        """
        self._start()
        found: list[memoryview] = []

        def take(number: int) -> bool:
            self._at = number
            piece = self._store.view(number)
            if piece is not None:
                found.append(piece)
            return piece is not None

        most, step = self._sizes.most, self._sizes.most
        together = max(1, most // _TOGETHER_SHARE)
        if self._spool:  # its pieces are read into one buffer
            step, together = _SPOOL_STEP, 1
        fetched = self._fetch(numbers, take, waits, most, step=step, behind=together - 1)
        for _ in fetched:
            following = self._at + 1
            if len(found) < together and following < numbers[-1] and self._store.has(following):
                continue
            yield found
            found.clear()
