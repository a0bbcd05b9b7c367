"""A server for a page alone, in a thread of its own: for commands that serve nothing else.

Before somebody opens the page, it costs a look each second: no server is imported.
"""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

from regather.errors import RegatherError
from regather.logs import Logger
from regather.server.listening import BACKLOG, bind, cannot_listen, url_of
from regather.tasks import Thread, interrupts_held
from regather.tokens import is_address

if TYPE_CHECKING:
    from regather.page.recorder import Recorder

_SECOND = 1.0
_GRACE = 1.0
_log = Logger("regather.page")


class PageServer:
    """Serves the page of a recorder; use it as a context manager."""

    def __init__(
        self,
        recorder: Callable[[], Recorder],
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """``recorder`` makes one, when it is needed.

        ``token`` permits to start a check; without one nobody may. ``beside`` is run in the event
        loop of the server, and cancelled at the end.
        """
        self._make = recorder
        self._host = host
        self._port = port
        self._token = token
        self._beside = beside
        self.url = ""
        """The address of the page, from the start on."""
        self._watched = threading.Event()
        self._socket: socket.socket
        self._ear: socket.socket
        """Readable when the command has ended."""
        self._mouth: socket.socket
        self._thread = Thread(self._run, name="regather-page", daemon=True)

    def __enter__(self) -> Self:
        """Listen. Raises UsageError or RegatherError where that is not possible."""
        with interrupts_held():
            self._socket = bind(self._host, self._port)
            try:
                self._socket.listen(BACKLOG)
                self._ear, self._mouth = socket.socketpair()
            except OSError as error:
                self._socket.close()
                raise cannot_listen(self._host, self._port, error) from error
            self.url = url_of(self._host, self._socket.getsockname()[1])
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Show the last state, and end."""
        with interrupts_held():
            self._mouth.close()
            self._thread.join()

    def wait_for_reader(self, seconds: float) -> bool:
        """Wait until a browser watches; returns whether one does."""
        return self._watched.wait(seconds)

    @cached_property
    def _recorder(self) -> Recorder:
        return self._make()

    def _run(self) -> None:
        with self._socket, self._ear:
            try:
                if self._beside is not None or self._is_asked():
                    import asyncio

                    asyncio.run(self._serve())
            except (OSError, RegatherError) as error:  # the command goes on without its page
                _log.warning("the page cannot be shown any more: %s", error)

    def _is_asked(self) -> bool:
        """Wait for a first connection, and record each second; False: the command has ended."""
        poll = select.poll()
        for one in (self._socket, self._ear):
            poll.register(one, select.POLLIN)
        due = time.monotonic() + _SECOND
        while True:
            ready = poll.poll(1000 * max(due - time.monotonic(), 0.0))
            if ready:
                return all(number != self._ear.fileno() for number, _ in ready)
            self._recorder.record()
            due = max(due + _SECOND, time.monotonic())

    async def _serve(self) -> None:
        import asyncio

        from regather.page.routes import PageApplication, PageRoutes
        from regather.server.run import HttpServer

        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def end() -> None:
            loop.remove_reader(self._ear)
            over.set()

        loop.add_reader(self._ear, end)
        names = () if is_address(self._host) else (self._host,)
        routes = PageRoutes(self._recorder, names=names, on_watched=self._watched.set)
        application = PageApplication(routes, self._token)
        server = HttpServer(application, host=self._host, listening=self._socket)
        await server.start()
        tasks = [asyncio.create_task(routes.record_each_second())]
        if self._beside is not None:
            tasks.append(asyncio.create_task(self._beside()))
        await over.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await routes.finish()
        await server.stop(_GRACE)
