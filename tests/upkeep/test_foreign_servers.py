"""Servers of others: without ranges, and not to be trusted with what they are sent."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from regather.downloader import Settings
from regather.upkeep.inspection import check
from regather.upkeep.report import CopyState
from regather.upkeep.restoration import repair
from tests.support.small import PIECE, small

IMPATIENT = Settings(retries=0)


class Foreign(BaseHTTPRequestHandler):
    """Keeps what it is sent in memory; knows no ranges and checks nothing."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    spoil: str

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_PUT(self) -> None:
        content = bytearray(self.rfile.read(int(self.headers["Content-Length"])))
        if self.spoil == "flip":
            content[-1] ^= 1
        if self.spoil == "cut":
            del content[-1]
        self.objects[self.path] = bytes(content)
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _answer(self, *, body: bool) -> None:
        content = self.objects.get(self.path)
        self.send_response(200 if content is not None else 404)
        self.send_header("Content-Length", str(len(content or b"")))
        self.end_headers()
        if body:
            self.wfile.write(content or b"")

    def log_message(self, *_: object) -> None: ...


@contextmanager
def foreign(objects: dict[str, bytes], spoil: str = "") -> Iterator[str]:
    handler = type("Handler", (Foreign,), {"objects": objects, "spoil": spoil})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()


def test_a_server_without_ranges(tmp_path: Path) -> None:
    coded = small([10 * PIECE, 9000], parity=1)
    objects = {f"/{name}": content for name, content in coded.content.items()}
    with foreign(objects) as url:
        path = coded.at({url: [1, 2, 3]}).write(tmp_path, {})
        assert check(path, read_data=1, settings=IMPATIENT).status == "healthy"
        assert check(path, read_data=0.3, settings=IMPATIENT).status == "healthy"
        objects[f"/{coded.names[1]}"] = bytes(9000)
        del objects[f"/{coded.names[2]}"]
        lost = repair(path, settings=IMPATIENT)
        assert lost.status == "lost"
        objects[f"/{coded.names[2]}"] = coded.content[coded.names[2]]
        assert repair(path, settings=IMPATIENT).status == "healthy"
        assert {n: objects[f"/{n}"] for n in coded.names} == coded.content


@pytest.mark.parametrize("spoil", ["flip", "cut"])
def test_what_was_stored_is_looked_at(tmp_path: Path, spoil: str) -> None:
    plain = small([3000])
    plain.write(tmp_path, {"good": [1]})
    with foreign({}, spoil) as url:
        path = plain.at({url: [1]}).write(tmp_path, {})
        report = repair(path, servers=[str(tmp_path / "good")], settings=IMPATIENT)
        assert report.status == "incomplete"
        assert [u.source for u in report.unwritten] == [url]
        found = check(path, read_data=1, settings=IMPATIENT).findings[0]
        assert found.state in (CopyState.CORRUPT, CopyState.WRONG_SIZE)
