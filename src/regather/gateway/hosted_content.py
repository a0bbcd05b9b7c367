"""What a gateway sends: bytes of a hosted file, piece by verified piece, and documents."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from itertools import accumulate

from aiohttp import web

from regather.engine.reader_room import PieceUnavailable
from regather.gateway.hosted import HostedFile, Response, Slice
from regather.gateway.window import Window
from regather.server.body import Outlet
from regather.server.content import Content, OtherAnswer
from regather.server.preconditions import Version
from regather.store.cached_file import Borrowed

_PATIENCE = 0.25
"""Seconds after which a client that takes nothing holds nothing."""
_STUCK = 120.0
"""Seconds without a piece after which a response that was begun is broken off."""

Explain = Callable[[int, PieceUnavailable | None], web.Response]
"""The answer for a piece that cannot be had, or that did not come in time (None)."""


class BrokenOff(OSError):
    """What was promised does not come: the connection is reset."""


class HostedContent(Content):
    """A slice of a hosted file."""

    def __init__(
        self,
        hosted: HostedFile,
        part: Slice,
        headers: Mapping[str, str],
        *,
        explain: Explain,
        seconds: float,
        client: str,
    ) -> None:
        """``seconds`` is how long the first piece may take before ``explain`` says why."""
        self.name = part.name
        self.version = Version(None, part.size, part.tag)
        self.headers = headers
        self.sha256 = part.sha256
        self._hosted = hosted
        self._start = part.start
        self._explain = explain
        self._seconds = seconds
        self._window: Window | None = None
        self._opened: tuple[int, int] | None = None
        self._response = Response(f"{part.name} to {client}", time.monotonic())
        hosted.responses[self._response] = None

    async def ready(self, start: int, stop: int) -> None:
        """See Content.ready."""
        await self._hosted.prepare()
        window = self._open(start, stop)
        number = self._hosted.pieces(self._start + start, self._start + start + 1)[0]
        try:
            self._response.wait(number)
            async with asyncio.timeout(self._seconds):
                piece = await window.piece()
            if isinstance(piece, Borrowed):
                piece.close()
            self._response.go_on()
        except PieceUnavailable as error:
            raise OtherAnswer(self._explain(number, error)) from None
        except TimeoutError:
            raise OtherAnswer(self._explain(number, None)) from None

    def _open(self, start: int, stop: int) -> Window:
        if self._window is not None and self._opened == (start, stop):
            return self._window
        if self._window is not None:
            self._window.close()
        self._response.size = self._response.sent + stop - start
        numbers = self._hosted.pieces(self._start + start, self._start + stop)
        self._window, self._opened = Window(self._hosted.session, numbers), (start, stop)
        return self._window

    async def send(self, outlet: Outlet, start: int, stop: int) -> None:
        """See Content.send."""
        if start >= stop:
            return
        window = self._open(start, stop)
        at, end = self._start + start, self._start + stop
        while at < end:
            self._response.wait(window.number)
            piece = await self._next(window)
            self._response.wait()
            sizes, sent = await self._send_some(outlet, window, piece, at, end)
            del piece
            at += sent
            for through in accumulate(sizes):
                if through <= sent:
                    window.advance()
            if sent < sum(sizes):
                window.pause()
                await outlet.wait()
            self._response.go_on(sent)

    async def _send_some(
        self, outlet: Outlet, window: Window, piece: Borrowed | memoryview, at: int, end: int
    ) -> tuple[list[int], int]:
        """Send bytes of a piece, and of those behind it that are in memory; see Outlet.send_some.

        Returns how many of each are to be sent, and how many were.
        """
        layout = self._hosted.layout
        start = at - layout.offset_of(window.number)
        if isinstance(piece, memoryview):
            parts, left = [], end - at
            for one in (piece[start:], *window.following()):
                parts.append(one[:left])
                left -= len(one)
            return list(map(len, parts)), await outlet.send_some(parts, _PATIENCE)
        size = min(end - at, layout.length_of(window.number) - start)
        before = outlet.sent
        with piece:
            try:
                await outlet.send_some_of_file(
                    piece.descriptor, piece.offset + start, size, _PATIENCE
                )
            except ConnectionError:
                raise
            except (OSError, EOFError):  # of the disk: the rest comes from elsewhere
                piece.lose()
        return [size], outlet.sent - before

    async def _next(self, window: Window) -> Borrowed | memoryview:
        try:
            async with asyncio.timeout(_STUCK):
                return await window.piece()
        except PieceUnavailable as error:
            why = "wrong bytes" if error.corrupt else "no source"
            raise BrokenOff(f"piece {error.number} is not available: {why}") from None
        except TimeoutError:
            raise BrokenOff(f"no piece came for {_STUCK:g} s") from None

    async def byte(self, at: int) -> bytes:
        """See Content.byte."""
        offset = self._start + at
        number = self._hosted.pieces(offset, offset + 1)[0]
        piece = await self._next(self._open(at, at + 1))
        place = offset - self._hosted.layout.offset_of(number)
        if isinstance(piece, memoryview):
            return bytes(piece[place : place + 1])
        with piece:
            return os.pread(piece.descriptor, 1, piece.offset + place)

    def close(self) -> None:
        """See Content.close."""
        self._hosted.responses.pop(self._response, None)
        if self._window is not None:
            self._window.close()


class Document(Content):
    """Bytes that are there."""

    def __init__(self, name: str, data: bytes, tag: str, headers: Mapping[str, str]) -> None:
        self.name = name
        self.version = Version(None, len(data), tag)
        self.headers = headers
        self._data = data

    async def send(self, outlet: Outlet, start: int, stop: int) -> None:
        """See Content.send."""
        await outlet.send_bytes(self._data[start:stop])

    async def byte(self, at: int) -> bytes:
        """See Content.byte."""
        return self._data[at : at + 1]

    def close(self) -> None:
        """Nothing is held."""
