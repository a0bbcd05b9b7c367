"""A server of others that takes uploads: without ranges, and not to be trusted with them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler

from tests.support.mirrors import running


class Foreign(BaseHTTPRequestHandler):
    """Keeps what it is sent in memory; knows no ranges and checks nothing."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    spoil: str
    """``flip`` the last bit or ``cut`` the last byte of what comes; ``lose`` it; know no ``HEAD``
    or no ``Expect``; show a ``page`` for what is not there; find folders ``missing`` that nobody
    made; ``accept`` what comes (202)."""
    folders: set[str]

    def handle_expect_100(self) -> bool:
        if self.spoil != "Expect":
            return super().handle_expect_100()
        self._say(417)
        return False

    def do_HEAD(self) -> None:
        if self.spoil == "HEAD":
            self._say(405)
        else:
            self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_DELETE(self) -> None:
        self._say(204 if self.objects.pop(self.path, None) is not None else 404)

    def do_MKCOL(self) -> None:
        above = self.path.removesuffix("/").rpartition("/")[0] + "/"
        if above not in self.folders:
            self._say(409)
        else:
            self._say(405 if self.path in self.folders else 201)
            self.folders.add(self.path)

    def do_PUT(self) -> None:
        content = bytearray(self.rfile.read(int(self.headers["Content-Length"])))
        if self.spoil == "missing" and self.path.rpartition("/")[0] + "/" not in self.folders:
            self._say(409)
            return
        if self.spoil == "flip":
            content[-1] ^= 1
        if self.spoil == "cut":
            del content[-1]
        if self.spoil != "lose":
            self.objects[self.path] = bytes(content)
        self._say(202 if self.spoil == "accept" else 201)

    def _say(self, status: int) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, *, body: bool) -> None:
        content = self.objects.get(self.path, b"<html></html>" if self.spoil == "page" else None)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if body:
            self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None: ...


@contextmanager
def foreign(objects: dict[str, bytes], spoil: str = "") -> Iterator[str]:
    """Run one; ``objects`` are what it has, by path. Yields its URL."""
    own = {"objects": objects, "spoil": spoil, "folders": {"/"}}
    with running(type("Handler", (Foreign,), own)) as url:
        yield url
