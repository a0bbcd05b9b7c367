"""Listens, and stops in order."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import secrets
import socket
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.log import access_logger

from regather.errors import RegatherError
from regather.server.access_log import AccessLog, error_logger
from regather.server.answers import EXIT_DIED
from regather.server.app import Application, BaseApplication
from regather.server.authorization import Tokens
from regather.server.connections import abort, unsent
from regather.server.faults import Fault, FaultKind, refuses
from regather.server.files import Root
from regather.server.listening import BACKLOG, bind, cannot_listen, url_of
from regather.server.writing import Limits

_ACCEPTED = 16
"""Connections accepted in one go; where there are no files left to open, tries, and errors too."""
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_COMPLAIN = 60.0
"""Seconds between lines that tell that no connection can be accepted."""
_KEEP_ALIVE = 75.0
"""Seconds that a connection may be idle."""
_GRACE = 5.0
"""Seconds that running responses get to finish when the server stops."""
_FLUSH_TICK = 0.01
_HANDSHAKE = 10.0
"""Seconds that a TLS handshake may take."""
_READ_BUFFER = 256 << 10
"""Bytes of a request's body that wait for being written, about twice that at most."""
_MAX_REQUEST_LINE = 16 << 10
_MAX_HEADER = 8 << 10


class HttpServer:
    """Serves an application from the running event loop, between start() and stop()."""

    def __init__(
        self,
        application: BaseApplication,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        access_log: bool = False,
        log_format: str = "text",
        tls: ssl.SSLContext | None = None,
        listening: socket.socket | None = None,
    ) -> None:
        """``listening`` is a socket that is bound to ``host`` and ``port`` already."""
        self._host = host
        self.port = port
        """The port; 0 becomes the one that was found when the server starts."""
        self._tls = tls
        self._application = application
        self._state = application.state
        self._access_log = access_log
        self._log_format = log_format
        self._manager: web.Server | None = None
        self._socket = listening
        self._listener: asyncio.Server | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._accepted = 0
        self._complained = -_COMPLAIN

    @property
    def url(self) -> str:
        """The address of the folder or file; it ends in a slash."""
        scheme = "https" if self._tls is not None else "http"
        return url_of(self._host, self.port, scheme)

    async def start(self) -> None:
        """Listen. Raises UsageError or RegatherError where that cannot be had."""
        if self._socket is None:
            self._socket = bind(self._host, self.port)
        self.port = self._socket.getsockname()[1]
        manager = self._manager = web.Server(
            self._application,
            logger=error_logger,
            access_log_class=AccessLog,
            keepalive_timeout=_KEEP_ALIVE,
            max_line_size=_MAX_REQUEST_LINE,
            max_field_size=_MAX_HEADER,
            lingering_time=1.0,
            auto_decompress=False,
            handler_cancellation=self._application.cancels,
            read_bufsize=_READ_BUFFER,
            access_log=access_logger if self._access_log else None,
            access_log_format=self._log_format,
        )
        self._state.count_connections = lambda: len(manager.connections)
        loop = asyncio.get_running_loop()
        for fault in self._application.faults:
            if fault.after is not None and fault.kind is FaultKind.DIE:
                self._timers.append(loop.call_later(fault.after, os._exit, EXIT_DIED))
            if fault.after is not None and fault.kind is FaultKind.REFUSE:
                self._timers.append(loop.call_later(fault.after, self._refuse_all))
        if any(
            fault.kind is FaultKind.REFUSE and fault.always for fault in self._application.faults
        ):
            return  # bound, so the port stays ours, but not listening: connections are refused
        try:
            self._listener = await loop.create_server(
                self._protocol,
                sock=self._socket,
                backlog=_ACCEPTED,
                ssl=self._tls,
                ssl_handshake_timeout=_HANDSHAKE if self._tls is not None else None,
            )
            # asyncio takes one number for both: so many may wait, whatever is accepted in one go.
            self._socket.listen(BACKLOG)
        except OSError as error:  # another took the port between bind and listen
            raise cannot_listen(self._host, self.port, error) from error
        loop.set_exception_handler(self._on_trouble)

    def _protocol(self) -> asyncio.Protocol:
        number = self._accepted
        self._accepted += 1
        if refuses(
            self._application.faults, self._application.fault_seed, number, self._state.elapsed
        ):
            return _Refusal()
        assert self._manager is not None
        return self._manager()

    def _on_trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Tell what asyncio has no other place for: out of files to open in one line a minute."""
        error = context.get("exception")
        if not isinstance(error, OSError) or error.errno not in _EXHAUSTED:
            loop.default_exception_handler(context)
            return
        now = loop.time()
        if now - self._complained >= _COMPLAIN:
            self._complained = now
            error_logger.warning(
                "%s: new connections must wait for others to close", (error.strerror or "").lower()
            )

    def _refuse_all(self) -> None:
        """From now on refuse all connections; those that are open stay."""
        if self._listener is None:
            return
        self._listener.close()
        self._listener = None
        with contextlib.suppress(RegatherError):  # keep the port from others
            self._socket = bind(self._host, self.port)

    async def stop(self, grace: float = _GRACE) -> None:
        """Accept nothing more, let responses finish for ``grace`` seconds, then break them off."""
        for timer in self._timers:
            timer.cancel()
        loop = asyncio.get_running_loop()
        for listening in self._listener.sockets if self._listener is not None else ():
            # Closed at once, the listener would let connections leak that the loop has accepted
            # and not yet attached to it.
            loop.remove_reader(listening.fileno())
        self._state.stopping.set()
        # A request that has been read already gets its answer, and a connection that has been
        # accepted gets to the manager: that takes the loop three rounds.
        for _ in range(3):
            await asyncio.sleep(0)
        if self._listener is not None:
            self._listener.close()
        if self._socket is not None:
            self._socket.close()
        manager = self._manager
        busy = {request.protocol for request in self._state.active.values()}
        for connection in manager.connections if manager is not None else ():
            if connection in busy:
                connection.close()  # after the response
            else:
                connection.force_close()
        until = loop.time() + grace
        transports = [request.transport for request in self._state.active.values()]
        if self._state.active:
            await asyncio.wait(list(self._state.active), timeout=grace)
        # A handler has ended when the last of its response waits to be sent, which over TLS is
        # some hundred kilobytes; what still waits when the loop ends would be lost.
        while any(map(unsent, transports)) and loop.time() < until:
            await asyncio.sleep(_FLUSH_TICK)
        for task, request in list(self._state.active.items()):
            abort(request.transport)
            task.cancel()
        if manager is not None:
            await manager.shutdown(0.1)  # all have been waited for already


class Server(HttpServer):
    """Serves ``path``, a folder or a file."""

    def __init__(
        self,
        path: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        faults: Sequence[Fault] = (),
        fault_seed: int | None = None,
        access_log: bool = False,
        log_format: str = "text",
        tokens: Tokens | None = None,
        limits: Limits | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        seed = secrets.randbits(64) if fault_seed is None else fault_seed
        root = Root(path)
        application = Application(
            root, faults=faults, fault_seed=seed, tokens=tokens, limits=limits
        )
        super().__init__(
            application,
            host=host,
            port=port,
            access_log=access_log,
            log_format=log_format,
            tls=tls,
        )
        if tokens is not None and tokens.write is not None and not root.is_file:
            removed = root.remove_leftovers()
            if removed:
                error_logger.info("removed %d unfinished files of a killed server", removed)


class _Refusal(asyncio.Protocol):
    """Resets a connection as soon as it is there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        abort(transport)
