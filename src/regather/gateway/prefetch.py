"""Brings all files of a gateway into its cache before anybody asks for them.

It wants what no reader waits for, and stops where the cache is full: nothing is dropped for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from regather.engine.reader_room import PieceUnavailable
from regather.errors import RegatherError
from regather.gateway.hosted import HostedFile
from regather.model import Layout
from regather.store.memory_budget import MemoryBudget

if TYPE_CHECKING:
    from regather.engine.reader_room import Reader
    from regather.engine.steps import SteppedSession
    from regather.store.disk_cache import DiskCache

_LOOK_SECONDS = 2.0
"""How often it looks for files that are new, and for room."""
_AGAIN_SECONDS = 30.0
"""When it asks again for what could not be had."""
_WINDOW_SHARE = 4
"""It wants what a reader may want at a time, divided by this."""
_FULL = 0.9
"""Up to which share the cache is filled: readers find some room."""

_log = logging.getLogger("regather.gateway")


class _Left:
    """What is still to be brought of a file."""

    def __init__(self, layout: Layout) -> None:
        # Row by row: all sources have work, and what is lost is computed from what has come.
        numbers = range(layout.data_pieces)
        self.numbers = deque(sorted(numbers, key=lambda number: layout.locate(number)[1]))
        self.again_at = 0.0


class Prefetch:
    """For the event loop: ``run`` it as a task, and cancel it."""

    def __init__(
        self,
        files: Callable[[], Iterable[HostedFile]],
        memory: MemoryBudget,
        disk: DiskCache | None,
    ) -> None:
        """``files`` gives what is served now."""
        self._files = files
        self._cache = disk or memory
        self._disk = disk
        self._left: dict[HostedFile, _Left] = {}

    async def run(self) -> None:
        """Bring what there is, and what comes, until this is cancelled."""
        while True:
            files = list(self._files())
            self._left = {f: self._left.get(f) or _Left(f.layout) for f in files}
            for hosted, left in self._left.items():
                if left.numbers and left.again_at <= time.monotonic():
                    await self._bring(hosted, left)
            await asyncio.sleep(_LOOK_SECONDS)

    def _has_room(self, more: int) -> bool:
        """Whether ``more`` bytes fit into the cache, and none is dropped for them."""
        queued = self._disk.queued if self._disk is not None else 0
        return self._cache.used + queued + more <= _FULL * self._cache.limit

    async def _bring(self, hosted: HostedFile, left: _Left) -> None:
        coming: dict[asyncio.Future[None], int] = {}
        failed: list[int] = []
        try:
            await hosted.prepare()
            session = hosted.session
            reader = session.reader()
            most = max(1, session.window // _WINDOW_SHARE)
            try:
                while left.numbers or coming:
                    while left.numbers and len(coming) < most:
                        if not self._ask(session, reader, left.numbers, coming, failed):
                            break
                    if not coming:
                        break
                    done, _ = await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
                    for one in done:
                        session.release(reader, [coming[one]])
                        if one.cancelled():  # no source has it
                            failed.append(coming[one])
                        del coming[one]
            finally:
                session.leave(reader)
        except (ValueError, RegatherError) as error:  # it was closed, or its disk fails
            _log.info("%s: not fetched ahead: %s", hosted.manifest.name, error)
            failed += coming.values()
        if failed:
            left.numbers += failed
            left.again_at = time.monotonic() + _AGAIN_SECONDS

    def _ask(
        self,
        session: SteppedSession,
        reader: Reader,
        numbers: deque[int],
        coming: dict[asyncio.Future[None], int],
        failed: list[int],
    ) -> bool:
        """Have one more piece fetched, if it is not there; False where there is no room."""
        number = numbers[0]
        if not session.has(number):
            room = self._has_room((len(coming) + 1) * session.largest_piece)
            if not (room and session.want(reader, [number], urgent=False)):
                return False
            try:
                coming[asyncio.wrap_future(session.coming(reader, number))] = number
            except PieceUnavailable:
                failed.append(number)
                session.release(reader, [number])
        numbers.popleft()
        return True
