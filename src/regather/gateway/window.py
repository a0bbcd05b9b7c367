"""The pieces that one client is sent: wanted a little ahead, waited for without a thread.

A client that reads gets an ever larger window. One that reads nothing holds nothing: its place is
remembered, and its pieces are free for others.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

from regather.engine.reader_room import ROOM_SECONDS, PieceUnavailable
from regather.engine.steps import SteppedSession
from regather.server.threads import in_thread
from regather.store.cached_file import Borrowed

_FIRST_AHEAD = 8
"""Pieces that are wanted at once for a client of which nothing is known."""


class _LoopTurn(threading.Event):
    """A reader's turn that a coroutine waits for."""

    def __init__(self) -> None:
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def set(self) -> None:
        self._loop.call_soon_threadsafe(self._event.set)

    def clear(self) -> None:
        self._event.clear()

    async def soon(self) -> None:
        try:
            await asyncio.wait_for(self._event.wait(), ROOM_SECONDS)
        except TimeoutError:
            pass


class Window:
    """Pieces in order, for one coroutine in the event loop. Close it."""

    def __init__(self, session: SteppedSession, numbers: Sequence[int]) -> None:
        self._session = session
        self._numbers = numbers
        self._reader = session.reader()
        self._turn = _LoopTurn()
        self._reader.turn = self._turn
        self._at = 0
        """The place in ``numbers`` that is sent now."""
        self._asked = self._freed = 0
        self._ahead = min(_FIRST_AHEAD, session.window)

    @property
    def number(self) -> int:
        """The running number of the piece that is sent now."""
        return self._numbers[self._at]

    async def piece(self) -> Borrowed | memoryview:
        """The piece that is sent now, in memory or on the disk. Raises PieceUnavailable."""
        number = self.number
        again = self._asked > self._at
        """What was asked for ahead may have failed long ago."""
        while True:
            await self._ask()
            piece: Borrowed | memoryview | None = self._session.piece(number)
            if piece is None and self._session.has(number):
                piece = await self._load(number)
            if piece is not None:
                return piece
            try:
                future = self._session.coming(self._reader, number)
            except PieceUnavailable:
                if not again:
                    raise
                again = False
                self.pause()
                continue
            try:
                await asyncio.wrap_future(future)
            except asyncio.CancelledError:
                if not future.cancelled() or _is_cancelled():
                    raise
                # It cannot be had, or the session was closed: looked at above.

    def following(self) -> list[memoryview]:
        """Pieces behind the one that is sent now, as many as are in memory and sent in a step."""
        found: list[memoryview] = []
        for at in range(self._at + 1, min(self._at + self._step, self._asked)):
            piece = self._session.piece(self._numbers[at])
            if piece is None:
                break
            found.append(piece)
        return found

    async def _load(self, number: int) -> Borrowed | memoryview | None:
        found: list[Borrowed | memoryview | None] = []
        try:
            await in_thread(lambda: found.append(self._session.load(number)))
        except asyncio.CancelledError:
            for piece in found:
                if isinstance(piece, Borrowed):
                    piece.close()
            raise
        return found[0]

    @property
    def _step(self) -> int:
        """How many pieces are asked for, and released, at once: each time costs a decision."""
        return max(1, self._ahead // 4)

    async def _ask(self) -> None:
        end = self._at + self._ahead
        if self._at < self._asked > end - self._step:
            return
        self._free()  # before it waits for room
        while self._asked < min(end, len(self._numbers)):
            must = self._asked == self._at
            numbers = self._numbers[self._asked : end]
            self._asked += self._session.want(self._reader, numbers, must=must)
            if not must or self._asked > self._at:
                return
            await self._turn.soon()

    def advance(self) -> None:
        """The piece was sent, without a break: what comes next is worth more."""
        self._at += 1
        self._ahead = min(2 * self._ahead, self._session.window)
        if self._at - self._freed >= self._step:
            self._free()

    def _free(self) -> None:
        if self._freed < self._at:
            self._session.release(self._reader, self._numbers[self._freed : self._at])
            self._freed = self._at

    def pause(self) -> None:
        """The client takes nothing for now: hold nothing for it."""
        self._session.leave(self._reader)
        self._asked = self._freed = self._at
        self._ahead = 1

    def close(self) -> None:
        """Want nothing any longer."""
        self._session.leave(self._reader)


def _is_cancelled() -> bool:
    """Whether it is the task that is to end, and not only what it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
