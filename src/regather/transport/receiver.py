"""What comes over a keep-alive connection, received by plain blocking sockets, and its end.

Why not a client library: this is the hot path, and a blocking ``recv_into`` with MSG_WAITALL into
a small reused buffer lets the kernel fill the whole buffer while no Python runs; libraries copy,
or return for every packet.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from regather.errors import reason
from regather.names import host_port
from regather.origins import Origin
from regather.transport.base import Failure, RequestFailed
from regather.transport.connect import refused_by_tls
from regather.transport.head import ChunkedBody, HttpRequest
from regather.transport.options import TransportOptions
from regather.transport.wire import fill

_CHEAP_TO_DRAIN = 256 << 10
"""A rest of a body this small is read to its end rather than paid for with a new connection."""
_DRAIN_SECONDS = 1.0
"""And that long it may take at most."""
_LEAST = 1 << 10
"""Bytes that must come within a time-out: whoever sends a drop now and then sends nothing."""


class Receiver:
    """Receives the bodies of answers; only abort() from another thread."""

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._socket: socket.socket | None = None
        self._guard = threading.RLock()
        """Held by abort() while it uses the socket, which nobody may close meanwhile: its number
        might be that of another one, of anybody in this process."""
        self._origin: Origin | None = None
        self._aborted = False
        self._ahead: HttpRequest | None = None  # a request that was sent before its turn
        self._rest = b""  # bytes that came with the head
        self._reset_body()

    def _reset_body(self) -> None:
        self._left: int | None = 0  # bytes of the body still to come, None: until the end
        self._coded: ChunkedBody | None = None
        self._keep = False
        self._heard = time.monotonic()
        self._trickled = 0  # bytes that came since there were _LEAST,
        self._waited = 0.0  # and seconds that were spent waiting for them

    @property
    def left(self) -> int | None:
        """Bytes of the answer's body still to come; None: until the connection ends."""
        return self._left

    @left.setter
    def left(self, count: int | None) -> None:
        self._left = None if self._coded is not None else count

    @property
    def coded(self) -> bool:
        """Whether the body comes in a coding that tells its end."""
        return self._coded is not None

    def receive(self, into: memoryview) -> int:
        """See Connection.receive."""
        if self._coded is not None:
            return self._receive_coded(into)
        wanted = len(into) if self._left is None else min(len(into), self._left)
        have = 0
        if self._rest:
            have = min(wanted, len(self._rest))
            into[:have] = self._rest[:have]
            self._rest = self._rest[have:]
        if have < wanted:
            have += self._fill(into[have:wanted], have == 0)
        if self._left is not None:
            self._left -= have
        return have

    def _fill(self, into: memoryview, first: bool) -> int:
        if self._socket is None:
            raise RequestFailed(Failure.RESET, "connection closed")
        began = time.monotonic()
        try:
            count = fill(self._socket, into)
        except (BlockingIOError, TimeoutError):
            if first and time.monotonic() - self._heard > self._options.timeout:
                raise self._fail(
                    Failure.TIMEOUT, f"received nothing for {self._options.timeout:g} s (--timeout)"
                ) from None
            self._count(0, began)
            return 0
        except OSError as error:
            raise self._failed(error) from error
        if count == 0:
            if first:
                if self._left is None:
                    self._left = 0  # it ends with the connection
                raise self._ended()
            return 0
        self._heard = self._count(count, began)
        return count

    def _count(self, count: int, began: float) -> float:
        """Note what came, waited for since ``began``; returns the time, or raises RequestFailed."""
        now = time.monotonic()
        self._trickled += count
        self._waited += now - began
        if self._trickled >= _LEAST:
            self._trickled, self._waited = 0, 0.0
        elif self._waited > self._options.timeout:
            raise self._fail(
                Failure.TIMEOUT,
                f"{self._trickled} bytes in {self._waited:.0f} s is too slow",
            )
        return now

    def _receive_coded(self, into: memoryview) -> int:
        assert self._coded is not None
        if not self._rest:
            self._rest = self._coded.read(lambda: self._more(64 << 10))
            if not self._rest:
                self._left = 0
                self._coded = None
                raise self._ended()
        count = min(len(into), len(self._rest))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _more(self, size: int, until: float | None = None) -> bytes:
        """Whatever comes next off the wire, at least one byte; waits up to the time-out.

        With ``until``, a time, it is waited until then instead, and nothing returned.
        """
        while True:
            assert self._socket is not None
            began = time.monotonic()
            try:
                data = self._socket.recv(size)
            except (BlockingIOError, TimeoutError):
                now = time.monotonic()
                if until is not None:
                    if now > until:
                        return b""
                elif now - self._heard > self._options.timeout:
                    raise self._silent(self._options.timeout) from None
                continue
            except OSError as error:
                raise self._failed(error) from error
            if not data:
                raise self._ended()
            # A head has a time of its own.
            self._heard = self._count(len(data), began) if until is None else time.monotonic()
            return data

    # -- ending ---------------------------------------------------------------------------

    def finish(self) -> None:
        """See Connection.finish."""
        left = self._left
        if self._keep and self._coded is None and left is not None and left <= _CHEAP_TO_DRAIN:
            scratch = memoryview(bytearray(left))
            until = time.monotonic() + _DRAIN_SECONDS
            try:
                while self._left and time.monotonic() < until:
                    if not self.receive(scratch):
                        break
            except RequestFailed:
                pass
            if self._left == 0 and (not self._rest or self._ahead is not None):
                return
        self.close()

    def abort(self) -> None:
        """See Connection.abort."""
        self._aborted = True
        with self._guard, contextlib.suppress(OSError):
            if self._socket is not None:
                # The plain method: SSLSocket.shutdown would tear down state that is in use.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _hold(self, connection: socket.socket | None) -> None:
        """Make it the socket that abort() reaches; what it was before may then be closed."""
        with self._guard:
            self._socket = connection

    def close(self) -> None:
        """See Connection.close."""
        connection = self._socket
        if connection is not None:
            self._hold(None)
            with contextlib.suppress(OSError):
                connection.close()
        self._origin = None
        self._keep = False
        self._ahead = None
        self._rest = b""

    def forsake(self) -> None:
        """See Connection.forsake: to close a socket sends nothing while the parent has it too."""
        self._guard = threading.RLock()  # a thread that holds the old one is not in this process
        self.close()

    @property
    def _where(self) -> str:
        return host_port(*self._origin[1:]) if self._origin else "server"

    def _silent(self, seconds: float) -> RequestFailed:
        return self._fail(Failure.TIMEOUT, f"no response for {seconds:g} s (--timeout)")

    def _ended(self) -> RequestFailed:
        return self._fail(Failure.TRUNCATED, "connection closed too early")

    def _failed(self, error: OSError) -> RequestFailed:
        if not self._aborted and (refused := refused_by_tls(error, self._where)):
            self.close()
            return refused
        late = isinstance(error, (TimeoutError, BlockingIOError))
        return self._fail(Failure.TIMEOUT if late else Failure.RESET, reason(error))

    def _fail(self, failure: Failure, detail: str) -> RequestFailed:
        where = self._where
        self.close()
        if self._aborted:
            return RequestFailed(Failure.ABORTED, "aborted")
        return RequestFailed(failure, f"{where}: {detail}")
