"""Sends bodies: from the page cache to the socket without passing through Python.

Beside asyncio's own sendfile this one says how much was sent when it breaks, keeps its place in
the selector for the whole body, and gives up on a client that takes nothing; it uses a duplicate
of the connection's descriptor, which the event loop treats as one of its own.
"""

from __future__ import annotations

import asyncio
import errno
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Self

from regather.files.platform import write_parts
from regather.server.connections import bound_unsent

_STEP = 2 << 20
"""Bytes sent at most before the other connections have their turn."""
_NO_SENDFILE = frozenset((errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP))
_TLS_STEP = 256 << 10
"""Bytes that are read, encrypted and buffered at a time."""


class Outlet(ABC):
    """The way of a body into one connection. Use as a context manager."""

    def __init__(self, on_sent: Callable[[int], None], timeout: float) -> None:
        self._on_sent = on_sent
        self._timeout = timeout
        self.sent = 0
        """Bytes handed on so far."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:  # noqa: B027
        """Let go of the connection; closing it is the transport's business."""

    @abstractmethod
    async def send_file(self, descriptor: int, offset: int, count: int) -> None:
        """Send ``count`` bytes of an open file from ``offset`` on.

        Raises ConnectionError where the client went away or took nothing for too long, EOFError
        where the file has become too short, and other OSErrors of file and socket.
        """

    @abstractmethod
    async def send_bytes(self, data: bytes) -> None:
        """Send ``data``; raises as send_file does."""

    @abstractmethod
    async def send_some(self, data: Sequence[memoryview], patience: float) -> int:
        """Send ``data`` until the client takes nothing for ``patience`` seconds; return how much.

        Raises as send_file does.
        """

    @abstractmethod
    async def send_some_of_file(
        self, descriptor: int, offset: int, count: int, patience: float
    ) -> int:
        """The same with bytes of an open file. ``sent`` is right also where this raises."""

    @abstractmethod
    async def wait(self) -> None:
        """Wait until the client takes more; raises as send_file does."""

    def _count(self, sent: int) -> None:
        self.sent += sent
        self._on_sent(sent)

    def _given_up(self) -> ConnectionAbortedError:
        return ConnectionAbortedError(f"the client read nothing for {self._timeout:g} s")


def open_outlet(
    transport: asyncio.BaseTransport | None,
    drain: Callable[[], Awaitable[None]],
    *,
    on_sent: Callable[[int], None],
    timeout: float,
) -> Outlet:
    """The outlet that fits the connection; ``drain`` waits until it takes more.

    ``on_sent`` is called with each count of bytes sent. A client that takes nothing for
    ``timeout`` seconds is given up. Raises ConnectionError where the connection is gone already.
    """
    bound_unsent(transport)
    if isinstance(transport, asyncio.Transport) and transport.get_extra_info("sslcontext"):
        return TlsOutlet(transport, drain, on_sent=on_sent, timeout=timeout)
    return FileOutlet(transport, on_sent=on_sent, timeout=timeout)


class FileOutlet(Outlet):
    """The way from an open file into one plain (not TLS) connection, past Python.

    Raises ConnectionError where the connection is gone already.
    """

    def __init__(
        self,
        transport: asyncio.BaseTransport | None,
        *,
        on_sent: Callable[[int], None],
        timeout: float,
    ) -> None:
        super().__init__(on_sent, timeout)
        self._loop = asyncio.get_running_loop()
        self._native = True
        connection = None if transport is None else transport.get_extra_info("socket")
        try:
            if connection is None:
                raise ConnectionResetError("the connection is closed")
            self._out = os.dup(connection.fileno())
        except OSError as error:
            if error.errno != errno.EBADF:
                raise
            raise ConnectionResetError("the connection is closed") from error

    def __exit__(self, *_: object) -> None:
        os.close(self._out)

    async def send_file(self, descriptor: int, offset: int, count: int) -> None:
        """See Outlet.send_file."""
        await self._send(self._file_step(descriptor, offset, count), count)

    async def send_some_of_file(
        self, descriptor: int, offset: int, count: int, patience: float
    ) -> int:
        """See Outlet.send_some_of_file."""
        return await self._send(self._file_step(descriptor, offset, count), count, patience)

    def _file_step(self, descriptor: int, offset: int, count: int) -> Callable[[int], int]:
        def step(done: int) -> int:
            want = min(count - done, _STEP)
            if self._native:
                try:
                    return os.sendfile(self._out, descriptor, offset + done, want)
                except OSError as error:
                    if error.errno not in _NO_SENDFILE:
                        raise
                    self._native = False
            data = os.pread(descriptor, min(want, 1 << 18), offset + done)
            return os.write(self._out, data) if data else 0

        return step

    async def send_bytes(self, data: bytes) -> None:
        """See Outlet.send_bytes."""
        await self._send(lambda done: os.write(self._out, data[done : done + _STEP]), len(data))

    async def send_some(self, data: Sequence[memoryview], patience: float) -> int:
        """See Outlet.send_some."""
        left = list(data)
        size = sum(map(len, left))
        return await self._send(lambda _: write_parts(self._out, left), size, patience)

    async def wait(self) -> None:
        """See Outlet.wait."""
        ready: asyncio.Future[None] = self._loop.create_future()

        def push() -> None:
            if not ready.done():
                ready.set_result(None)

        self._loop.add_writer(self._out, push)
        try:
            await asyncio.wait_for(ready, self._timeout)
        except TimeoutError:
            raise self._given_up() from None
        finally:
            self._loop.remove_writer(self._out)

    async def _send(
        self, step: Callable[[int], int], count: int, patience: float | None = None
    ) -> int:
        """Take steps until all is sent, or nothing for ``patience`` seconds; return how much."""
        done = 0
        progress = time.monotonic()
        finished: asyncio.Future[None] = self._loop.create_future()
        timer: asyncio.TimerHandle

        def push() -> None:
            nonlocal done, progress
            if finished.done():  # cancelled, and the loop had called us already
                return
            try:
                added = step(done)
                if added == 0:
                    raise EOFError("the file was truncated")
            except (BlockingIOError, InterruptedError):
                return
            except (OSError, EOFError) as error:
                finished.set_exception(error)
                return
            done += added
            self._count(added)
            progress = time.monotonic()
            if done >= count:
                finished.set_result(None)

        def watch() -> None:
            nonlocal timer
            left = progress + seconds - time.monotonic()
            if left > 0:
                timer = self._loop.call_later(left, watch)
            elif finished.done():
                pass
            elif patience is not None:
                finished.set_result(None)
            else:
                finished.set_exception(self._given_up())

        seconds = self._timeout if patience is None else patience
        if count == 0:
            return 0
        push()
        if finished.done():
            finished.result()
            return done
        self._loop.add_writer(self._out, push)
        timer = self._loop.call_later(seconds, watch)
        try:
            await finished
        finally:
            timer.cancel()
            self._loop.remove_writer(self._out)
        return done


class TlsOutlet(Outlet):
    """The way into a TLS connection: what is encrypted here must pass through here."""

    def __init__(
        self,
        transport: asyncio.Transport,
        drain: Callable[[], Awaitable[None]],
        *,
        on_sent: Callable[[int], None],
        timeout: float,
    ) -> None:
        super().__init__(on_sent, timeout)
        self._transport = transport
        self._drain = drain
        transport.set_write_buffer_limits(high=_TLS_STEP)

    async def send_file(self, descriptor: int, offset: int, count: int) -> None:
        """See Outlet.send_file."""
        stop = offset + count
        while offset < stop:
            data = _part(descriptor, min(stop - offset, _TLS_STEP), offset)
            await self.send_bytes(data)
            offset += len(data)

    async def send_bytes(self, data: bytes) -> None:
        """See Outlet.send_bytes; at most as many as are worth buffering."""
        self._write(data)
        await self.wait()
        self._count(len(data))
        # A client that always takes all at once must not keep the others from their turn.
        await asyncio.sleep(0)

    async def send_some(self, data: Sequence[memoryview], patience: float) -> int:
        """See Outlet.send_some: what was handed to the connection counts as taken."""
        sent = 0
        for part in data:
            some = await self._send_some(partial(_cut, part), len(part), patience)
            sent += some
            if some < len(part):
                break
        return sent

    async def send_some_of_file(
        self, descriptor: int, offset: int, count: int, patience: float
    ) -> int:
        """See Outlet.send_some_of_file."""
        return await self._send_some(
            lambda at, size: _part(descriptor, min(size, count - at), offset + at), count, patience
        )

    async def _send_some(
        self, part: Callable[[int, int], bytes | memoryview], count: int, patience: float
    ) -> int:
        done = 0
        while done < count:
            step = part(done, _TLS_STEP // 4)
            self._write(step)
            done += len(step)
            self._count(len(step))
            try:
                async with asyncio.timeout(patience):
                    await self._drain()
            except TimeoutError:
                break
            await asyncio.sleep(0)
        return done

    def _write(self, data: bytes | memoryview) -> None:
        if self._transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        self._transport.write(data)

    async def wait(self) -> None:
        """See Outlet.wait."""
        while True:
            waiting = self._transport.get_write_buffer_size()
            try:
                async with asyncio.timeout(self._timeout):
                    await self._drain()
                break
            except TimeoutError:
                if self._transport.get_write_buffer_size() >= waiting:
                    raise self._given_up() from None


def _part(descriptor: int, size: int, offset: int) -> bytes:
    """Some bytes of a file, at most ``size``. Raises OSError, and EOFError where there are none."""
    data = os.pread(descriptor, size, offset)
    if not data:
        raise EOFError("the file was truncated")
    return data


def _cut(data: memoryview, at: int, size: int) -> memoryview:
    return data[at : at + size]
