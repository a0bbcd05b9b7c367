"""Bodies of objects, which arrive ahead of who reads them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from regather.transport.objects.loop import call_soon, submit

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult

    from regather.transport.objects.clients import Client

__all__ = ["ObjectBody"]

_AHEAD = 2 << 20
"""Bytes of a body that may wait to be read."""


class ObjectBody:
    """A GET under way: its head, then its bytes, held back where nobody reads them."""

    def __init__(self, client: Client, key: str, options: GetOptions, step: int) -> None:
        """Begins at once. ``step`` is how many bytes are collected before they are handed on."""
        self._changed = threading.Condition()
        self._chunks: deque[bytes] = deque()
        self._waiting = 0
        self._head: GetResult | None = None
        self._error: BaseException | None = None
        self._ended = False
        self._room: asyncio.Event | None = None
        self._task = submit(self._pump(client, key, options, step))

    async def _pump(self, client: Client, key: str, options: GetOptions, step: int) -> None:
        import obstore

        try:
            self._room = asyncio.Event()
            head = await obstore.get_async(client, key, options=options)
            with self._changed:
                self._head = head
                self._changed.notify_all()
            async for chunk in head.stream(min_chunk_size=step):
                with self._changed:
                    self._chunks.append(chunk)
                    self._waiting += len(chunk)
                    full = self._waiting >= _AHEAD
                    self._room.clear()
                    self._changed.notify_all()
                if full:
                    await self._room.wait()
        except BaseException as error:
            self._error = error
            if not isinstance(error, Exception):
                raise
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def head(self) -> GetResult:
        """What was answered. Raises what obstore did, and CancelledError after cancel()."""
        with self._changed:
            while self._head is None and not self._ended:
                self._changed.wait()
            if self._head is None:
                raise self._error or asyncio.CancelledError
            return self._head

    def next(self, until: float) -> bytes | None:
        """More of the body; None where nothing came until that time, empty at its end.

        Raises as head() does.
        """
        with self._changed:
            while not self._chunks:
                if self._ended:
                    if self._error is not None:
                        raise self._error
                    return b""
                if not self._changed.wait(max(0.0, until - time.monotonic())):
                    if self._chunks or self._ended:
                        continue
                    return None
            chunk = self._chunks.popleft()
            was_full = self._waiting >= _AHEAD
            self._waiting -= len(chunk)
        if was_full and self._waiting < _AHEAD and self._room is not None:
            call_soon(self._room.set)
        return chunk

    def cancel(self) -> None:
        """Break it off; whoever waits for it gets CancelledError. From any thread, also again."""
        self._task.cancel()
        with self._changed:
            if not self._ended:
                self._error = self._error or asyncio.CancelledError()
                self._ended = True
                self._chunks.clear()
                self._changed.notify_all()
