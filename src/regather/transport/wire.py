"""Bytes into and out of a connected socket, plain or TLS."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable

from msgspec import Struct

from regather.transport.base import TICK

_STEP = 1 << 20
_TLS_STEP = 16 << 10
_EXPECT_FROM = 64 << 10
"""A body of at least this many bytes is sent only when the server asks for it."""
_SLOWEST_DISK = 20_000_000
"""Bytes a second: the answer comes when the other end has all on its disk."""


class RequestBody(Struct, frozen=True):
    """What is sent: ``size`` bytes; ``read(offset, into)`` fills the buffer, again if need be."""

    size: int
    read: Callable[[int, memoryview], None]
    at_once: bool = False
    """Never held back until the server asks for it."""

    @property
    def step(self) -> int:
        """Bytes to hold in memory at a time."""
        return min(self.size, _STEP)

    @property
    def expect(self) -> bool:
        """Whether to wait until the server asks for it."""
        return self.size >= _EXPECT_FROM and not self.at_once

    @property
    def patience(self) -> float:
        """Seconds that the answer may take longer than others."""
        return self.size / _SLOWEST_DISK


def send(connection: socket.socket, data: memoryview, timeout: float) -> None:
    """Send all of ``data``.

    Raises OSError: TimeoutError or BlockingIOError where nothing is taken for ``timeout`` seconds.
    """
    if not _is_tls(connection):
        connection.sendall(data)
        return
    connection.settimeout(timeout)
    try:
        # The time-out is for one call as a whole: small steps, so that it means silence.
        for at in range(0, len(data), _TLS_STEP):
            connection.sendall(data[at : at + _TLS_STEP])
    finally:
        connection.settimeout(TICK)


def send_until(
    connection: socket.socket, data: memoryview, timeout: float, answered: Callable[[], bool]
) -> bool:
    """Send all of ``data``, or return False as soon as ``answered`` is true.

    A server that answers early may read no more: whoever waited for it to take the data would
    not see its answer. Raises OSError: TimeoutError where nothing happens for ``timeout`` seconds.
    """
    tls = _is_tls(connection)
    step, flags = (_TLS_STEP, 0) if tls else (len(data), socket.MSG_DONTWAIT)
    ready = select.poll()
    ready.register(connection, select.POLLIN | select.POLLOUT)
    at = 0
    while at < len(data):
        if answered():
            return False
        if tls:
            connection.settimeout(0)
        try:
            at += connection.send(data[at : at + step], flags)
            continue
        except OSError as error:
            if not _would_wait(error):
                raise
        finally:
            if tls:
                connection.settimeout(TICK)
        if not ready.poll(timeout * 1000):
            raise TimeoutError
    return True


def fill(connection: socket.socket, into: memoryview) -> int:
    """Receive until the buffer is full, the end (a smaller count) or a tick has passed.

    Raises OSError, BlockingIOError or TimeoutError where nothing came within the tick.
    """
    if not _is_tls(connection):
        return connection.recv_into(into, len(into), socket.MSG_WAITALL)
    read = _tls_read(connection)
    have = 0
    wanted = len(into)
    until = time.monotonic() + TICK
    while have < wanted:
        try:
            count = read(wanted - have, into[have:])
        except TimeoutError:
            if have:
                return have
            raise
        except OSError as error:
            import ssl

            if isinstance(error, ssl.SSLEOFError):  # an end without TLS saying so: short as well
                return have
            raise
        have += count
        if count == 0 or time.monotonic() > until:
            return have
    return have


def early_answer(connection: socket.socket) -> bytes:
    """What has come already, without waiting; raises OSError where the connection is gone."""
    tls = _is_tls(connection)
    if tls:  # readable is not enough: it may be a message of TLS itself
        connection.settimeout(0)
    try:
        data = connection.recv(_TLS_STEP, 0 if tls else socket.MSG_DONTWAIT)
    except OSError as error:
        if _would_wait(error):
            return b""
        raise
    finally:
        if tls:
            connection.settimeout(TICK)
    if not data:
        raise ConnectionResetError("closed by the peer")
    return data


def _tls_read(connection: socket.socket) -> Callable[[int, memoryview], int]:
    """What ``recv_into`` of a TLS socket ends in, where it can be had: of a count, into a buffer.

    A call brings one record, 16 KiB, so that a GiB takes 65536 of them: the layers of Python
    between are a tenth of what receiving costs.
    """
    inner: Callable[[int, memoryview], int] | None
    inner = getattr(getattr(connection, "_sslobj", None), "read", None)
    return inner or (lambda count, into: connection.recv_into(into, count))


def _would_wait(error: OSError) -> bool:
    if isinstance(error, BlockingIOError):
        return True
    import ssl

    return isinstance(error, (ssl.SSLWantReadError, ssl.SSLWantWriteError))


def _is_tls(connection: socket.socket) -> bool:
    return hasattr(connection, "getpeercert")
