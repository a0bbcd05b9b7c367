"""A server for a page alone, in a thread of its own: for commands that serve nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self

from aiohttp import hdrs, web

from regather.page.recorder import Recorder
from regather.page.routes import PageRoutes
from regather.server.app import BaseApplication
from regather.server.authorization import Tokens
from regather.server.content import Content
from regather.server.run import HttpServer
from regather.tasks import Thread, interrupts_held
from regather.tokens import is_address

_GRACE = 1.0


class PageApplication(BaseApplication):
    """Answers requests for a page, and none else."""

    no_writing = "a page stores nothing"

    def __init__(self, routes: PageRoutes, token: str | None) -> None:
        super().__init__(tokens=Tokens(write=token))
        self._check = routes.check if token is not None else None
        self.internal |= routes.handlers
        self.internal["/"] = routes.index

    def check(self) -> None:
        """See BaseApplication.check: there is nothing that could not be read."""

    async def find(self, request: web.BaseRequest, target: str) -> Content | web.StreamResponse:
        """See RequestAnswers.find: there is nothing else."""
        return web.Response(status=404, text="not found\n")

    async def write(self, request: web.BaseRequest, target: str) -> web.StreamResponse | None:
        """See RequestAnswers.write: a check is started by PUT, which needs the token."""
        if self._check is None or (request.method, target) != (hdrs.METH_PUT, "/-/check"):
            return None
        return await self._check(request)


class PageServer:
    """Serves the page of a recorder; use it as a context manager."""

    def __init__(
        self,
        recorder: Recorder,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        token: str | None = None,
        beside: Callable[[], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """``token`` permits to start a check; without one nobody may.

        ``beside`` is run in the same event loop, and cancelled at the end.
        """
        self.recorder = recorder
        self._host = host
        self._port = port
        self._token = token
        self._beside = beside
        self.url = ""
        """The address of the page, from the start on."""
        self._ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._over: asyncio.Event
        self._watched = threading.Event()
        self._error: BaseException | None = None
        self._thread = Thread(self._run, name="regather-page", daemon=True)

    def __enter__(self) -> Self:
        """Listen. Raises UsageError or RegatherError where that is not possible."""
        with interrupts_held():
            self._thread.start()
            self._ready.wait()
        if self._error is not None:
            self._thread.join()
            raise self._error
        return self

    def __exit__(self, *_: object) -> None:
        """Show the last state, and end."""
        with interrupts_held():
            with contextlib.suppress(RuntimeError):  # it has ended already
                self._loop.call_soon_threadsafe(self._over.set)
            self._thread.join()

    def wait_for_reader(self, seconds: float) -> bool:
        """Wait until a browser watches; returns whether one does."""
        return self._watched.wait(seconds)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        names = () if is_address(self._host) else (self._host,)
        routes = PageRoutes(self.recorder, names=names, on_watched=self._watched.set)
        server = HttpServer(PageApplication(routes, self._token), host=self._host, port=self._port)
        await server.start()
        self.url = server.url
        tasks = [asyncio.create_task(routes.record_each_second())]
        if self._beside is not None:
            tasks.append(asyncio.create_task(self._beside()))
        self._ready.set()
        await self._over.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await routes.finish()
        await server.stop(_GRACE)
