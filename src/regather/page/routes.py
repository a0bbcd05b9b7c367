"""How a browser gets the page: its files, the state as JSON, and changes as they come.

An application adds ``handlers`` to its ``internal`` ones, and asks for a token before ``check``.
Nothing else here changes anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import html
from collections.abc import Callable, Collection
from functools import cache, partial
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import hdrs, web

from regather.page.as_text import as_text
from regather.page.delta import delta
from regather.page.recorder import Recorder
from regather.server.app import BaseApplication, Handler
from regather.server.authorization import Tokens
from regather.server.content import Content
from regather.tokens import is_address

_STATIC = Path(__file__).parent / "static"
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_SECOND = 1.0
_HEARTBEAT = 5.0
"""Seconds after which a stream without news sends a comment."""
_BEHIND = 5
"""A reader that missed this number of seconds gets everything anew."""
_SEND_SECONDS = 60.0
"""Seconds that a reader may take nothing before it is given up."""
MOST_STREAMS = 32
_ADDRESSES = "the address of the machine, or localhost"
_encode = msgspec.json.encode


class PageRoutes:
    """What answers requests for the page of one recorder, in one event loop."""

    def __init__(
        self,
        recorder: Recorder,
        *,
        names: Collection[str] = (),
        on_watched: Callable[[], object] = lambda: None,
    ) -> None:
        """``names`` are host names under which the page may be asked for, besides addresses.

        ``on_watched`` is called when a stream begins.

        Without this check, a page of another site could read this one by DNS rebinding.
        """
        self.recorder = recorder
        self._names = {"localhost", *(name.lower() for name in names)}
        self._news = asyncio.Event()
        self._over = False
        self._on_watched = on_watched
        self._streams: set[asyncio.Task[object]] = set()

    async def record_each_second(self) -> None:
        """Record until cancelled: run it as a task."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            self._record()
            due = max(due + _SECOND, loop.time())
            await asyncio.sleep(due - loop.time())

    def _record(self) -> None:
        self.recorder.record()
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def finish(self, seconds: float = 2.0) -> None:
        """Record a last time, send it to all streams, and end them."""
        self._record()
        self._over = True
        self._wake()
        if self._streams:
            await asyncio.wait(list(self._streams), timeout=seconds)

    @property
    def handlers(self) -> dict[str, Handler]:
        """What answers GET and HEAD, by path. The page itself is at ``/-/page/``."""
        found: dict[str, Handler] = {
            "/-/status": self._guarded(self._status),
            "/-/events": self._guarded(self._stream),
            "/-/page/": self._guarded(partial(self._index, "../../")),
        }
        for name in _static():
            found[f"/-/page/{name}"] = self._guarded(partial(self._file, name))
        return found

    @property
    def index(self) -> Handler:
        """What answers with the page itself, at the root of a server."""
        return self._guarded(partial(self._index, ""))

    @property
    def check(self) -> Handler:
        """What starts a check."""
        return self._guarded(self._check)

    async def _check(self, request: web.BaseRequest) -> web.Response:
        if self.recorder.checks is None:
            return _reply(b"nothing can be checked here\n", "text/plain", 404)
        self.recorder.checks.start()
        self._record()
        return _reply(b"checking\n", "text/plain", 202)

    def _guarded(self, handler: Handler) -> Handler:
        """The same for hosts that the page is served under, and an error for others."""

        async def handle(request: web.BaseRequest) -> web.StreamResponse:
            host = request.headers.get(hdrs.HOST, "").lower()
            name, _, port = host.rpartition(":")
            name = (name if port.isdigit() and name else host).removesuffix(".")
            if name in self._names or is_address(name):
                return await handler(request)
            text = f"the page is not served under this host name; use {_ADDRESSES}\n"
            return _reply(text.encode(), "text/plain", 421)

        return handle

    async def _status(self, request: web.BaseRequest) -> web.StreamResponse:
        return _reply(_encode(self.recorder.document()), "application/json")

    async def _index(self, root: str, request: web.BaseRequest) -> web.StreamResponse:
        body, _, _ = _static()["index.html"]
        state = html.escape(as_text(self.recorder.document()))
        page = body.decode().replace("{root}", root).replace("{state}", state)
        return _reply(page.encode(), "text/html")

    async def _file(self, name: str, request: web.BaseRequest) -> web.StreamResponse:
        body, kind, tag = _static()[name]
        headers = {**_HEADERS, hdrs.CACHE_CONTROL: "no-cache", hdrs.ETAG: tag}
        if request.headers.get(hdrs.IF_NONE_MATCH) == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    async def _stream(self, request: web.BaseRequest) -> web.StreamResponse:
        if len(self._streams) >= MOST_STREAMS:
            return _reply(b"too many pages are open\n", "text/plain", 503)
        response = web.StreamResponse(
            headers={**_HEADERS, hdrs.CACHE_CONTROL: "no-store", "X-Accel-Buffering": "no"}
        )
        response.content_type = "text/event-stream"
        await response.prepare(request)
        task = asyncio.current_task()
        assert task is not None
        self._streams.add(task)
        self._on_watched()
        try:
            if request.method == hdrs.METH_GET:
                await self._send_changes(response)
        except (ConnectionError, TimeoutError):
            if request.transport is not None:
                request.transport.abort()
        finally:
            self._streams.discard(task)
        return response

    async def _send_changes(self, response: web.StreamResponse) -> None:
        async def send(data: bytes) -> None:
            await asyncio.wait_for(response.write(data), _SEND_SECONDS)

        sent = self.recorder.document()
        await send(_message("status", sent))
        while True:
            news = self._news
            if self.recorder.document() is sent and not self._over:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), _HEARTBEAT)
                if not news.is_set():
                    await send(b": still here\n\n")
                    continue
            document = self.recorder.document()
            if document is not sent:
                missed = int(document["tick"]) - int(sent["tick"])  # type: ignore[call-overload]
                change = delta(sent, document) if missed <= _BEHIND else None
                if change is None:
                    await send(_message("status", document))
                else:
                    await send(_message("change", change))
                sent = document
            elif self._over:
                await send(_message("end", {}))
                return


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


def _reply(body: bytes, kind: str, status: int = 200) -> web.Response:
    headers = {**_HEADERS, hdrs.CACHE_CONTROL: "no-store"}
    return web.Response(
        body=body, status=status, content_type=kind, charset="utf-8", headers=headers
    )


@cache
def _static() -> dict[str, tuple[bytes, str, str]]:
    """Bytes, media type and tag of each file of the page, by name."""
    found = {}
    for path in _STATIC.iterdir():
        if kind := _TYPES.get(path.suffix):
            body = path.read_bytes()
            tag = f'"{hashlib.blake2s(body, digest_size=8).hexdigest()}"'
            found[path.name] = body, kind, tag
    return found


def _message(event: str, data: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (event.encode(), _encode(data))
