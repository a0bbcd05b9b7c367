"""Servers of whole files that say more, or less, than ours: headers, redirects, no ranges."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

Headers = Mapping[str, str]
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Clients that break off are nothing to tell of."""


@contextmanager
def running(handler: Callable[..., BaseHTTPRequestHandler]) -> Iterator[str]:
    """Have a server answer in this way while the ``with`` body runs. Yields its URL."""
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join(60)


class _Stock(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None: ...


@contextmanager
def stock_server(folder: Path) -> Iterator[str]:
    """What ``python -m http.server`` is: it knows no ranges. Yields its address."""
    with running(partial(_Stock, directory=str(folder))) as url:
        yield url


class Mirror:
    """A file behind any path, and what the server says of it; all may change while it runs."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.headers: dict[str, str] = {}
        self.pages: dict[str, bytes] = {}
        """Other content by path."""
        self.redirects: dict[str, tuple[str, Headers]] = {}
        """By path: where to, and the headers of that answer."""
        self.statuses: dict[str, int] = {}
        """Paths that are answered with an error."""
        self.break_off = False
        """Whether connections end without an answer."""
        self.asked: list[str] = []
        """Paths of all requests."""
        self.before: Callable[[int], object] = lambda length: None
        """Called before each answer with the bytes that are asked for; 0: all."""
        self.after: Callable[[int], object] = lambda length: None
        """The same after the answer was sent."""
        self.url = ""

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        span = _RANGE.fullmatch(request.headers.get("Range", ""))
        length = int(span[2]) + 1 - int(span[1]) if span else 0
        self.before(length)
        self._send_answer(request)
        self.after(length)

    def _send_answer(self, request: BaseHTTPRequestHandler) -> None:
        path = request.path.partition("?")[0]
        self.asked.append(request.path)
        if self.break_off:
            request.close_connection = True
        elif (status := self.statuses.get(path)) is not None:
            self._send(request, status, {}, b"")
        elif path in self.redirects:
            target, headers = self.redirects[path]
            self._send(request, 302, {"Location": target, **headers}, b"")
        else:
            self._send_content(request, self.pages.get(path, self.content))

    def _send_content(self, request: BaseHTTPRequestHandler, content: bytes) -> None:
        wanted = request.headers.get("Range", "")
        if not wanted.startswith("bytes=") or not content:
            self._send(request, 200, self.headers, content)
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        start, stop = int(first), min(int(last) + 1, len(content))
        told = {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}", **self.headers}
        self._send(request, 206, told, content[start:stop])

    @staticmethod
    def _send(
        request: BaseHTTPRequestHandler, status: int, headers: Headers, content: bytes
    ) -> None:
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)


@contextmanager
def mirror(content: bytes) -> Iterator[Mirror]:
    """A server of one file that says of it what a test wants."""
    made = Mirror(content)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            made._answer(self)

        do_HEAD = do_GET

        def log_message(self, *_: object) -> None: ...

    with running(Handler) as url:
        made.url = url
        yield made
