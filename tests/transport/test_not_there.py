"""An object that is not there costs no connection."""

from __future__ import annotations

import random
import re
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import regather
from regather.transport import Failure, HttpConnection, RequestFailed, TransportOptions
from tests.support.net import PATIENCE
from tests.support.rogue import Answer, Rogue

SIZE = 50_000
DATA = random.Random(5).randbytes(SIZE)
PAGE = b"HTTP/1.1 404 Not Found\r\n"
LONG = 1 << 20


def keeps_alive(
    objects: dict[bytes, bytes], missing: bytes, note: Callable[[bytes], None] = lambda path: None
) -> Answer:
    """Serves ranges of the objects on connections that stay open; the rest is answered so."""

    def answer(head: bytes, connection: socket.socket) -> None:
        while head:
            path = head.split(b" ", 2)[1]
            note(path)
            asked = re.search(rb"bytes=(\d+)-(\d+)", head)
            if path in objects and asked is not None:
                whole = objects[path]
                first, last = int(asked[1]), int(asked[2])
                connection.sendall(
                    b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\n"
                    b"Content-Length: %d\r\n\r\n"
                    % (first, last, len(whole), last + 1 - first)
                    + whole[first : last + 1]
                )
            else:
                connection.sendall(missing)
                if b"Length" not in missing and b"chunked" not in missing:
                    return
            head = connection.recv(65536)

    return answer


@pytest.mark.parametrize(
    ("missing", "connections"),
    [
        (PAGE + b"Content-Length: 0\r\n\r\n", 1),
        (PAGE + b"Content-Length: 9\r\n\r\nnot here!", 1),
        (PAGE.replace(b"404", b"410") + b"Content-Length: 9\r\n\r\nnot here!", 1),
        (PAGE + b"Content-Length: %d\r\n\r\n" % LONG + bytes(LONG), 3),
        (PAGE + b"Content-Length: 9\r\nConnection: close\r\n\r\nnot here!", 2),
        (PAGE + b"Transfer-Encoding: chunked\r\n\r\n1\r\n.\r\n0\r\n\r\n", 2),
        (PAGE + b"\r\nuntil the end", 3),
    ],
    ids=["empty", "page", "gone", "long", "closing", "chunked", "until the end"],
)
def test_the_connection_goes_on(missing: bytes, connections: int) -> None:
    """The first of a server is asked for twice: perhaps the range is refused."""
    with Rogue(keeps_alive({b"/there": DATA}, missing)) as rogue:
        connection = HttpConnection(TransportOptions(timeout=5))
        with pytest.raises(RequestFailed, match="HTTP 4") as caught:
            connection.request(rogue.url + "none", 0, SIZE, SIZE)
        assert caught.value.failure is Failure.MISSING
        assert connection.request(rogue.url + "there", 10, SIZE, SIZE)
        buffer = memoryview(bytearray(SIZE - 10))
        have = 0
        while have < len(buffer):
            have += connection.receive(buffer[have:])
        connection.close()
        assert buffer == DATA[10:]
        assert len(rogue.requests) == connections  # it notes the first of each


def test_in_a_download(tmp_path: Path) -> None:
    """A server that holds one of eight fragments is asked for all on one connection."""
    (tmp_path / "file.bin").write_bytes(DATA)
    manifest = regather.split(tmp_path / "file.bin", tmp_path / "out", fragments=8)
    content = {
        b"/" + f.name.encode(): (tmp_path / "out" / f.name).read_bytes() for f in manifest.fragments
    }
    held = b"/" + manifest.fragments[5].name.encode()
    (tmp_path / "out" / "file.bin.regather.json").rename(tmp_path / "manifest.json")
    missing = PAGE + b"Content-Length: 9\r\n\r\nnot here!"
    asked: set[bytes] = set()
    almost_all = threading.Event()

    def note(path: bytes) -> None:
        asked.add(path)
        if len(asked) >= 7:  # the other server was asked for the eighth
            almost_all.set()

    def late(head: bytes, connection: socket.socket) -> None:
        almost_all.wait(PATIENCE)
        keeps_alive(content, missing)(head, connection)

    with Rogue(keeps_alive({held: content[held]}, missing, note)) as rogue, Rogue(late) as rest:
        regather.download(
            tmp_path / "manifest.json",
            tmp_path / "copy",
            servers=[rogue.url, rest.url],
            settings=regather.Settings(connections=1),
        )
        assert len(rogue.requests) == 1
    assert (tmp_path / "copy").read_bytes() == DATA


def test_a_request_that_was_sent_ahead_is_not_sent_again() -> None:
    """Its answer is taken from the same connection."""
    step = SIZE // 5
    with Rogue(keeps_alive({b"/f": DATA}, PAGE)) as server:
        target = server.url + "f"
        connection = HttpConnection(TransportOptions())
        for start in range(0, SIZE, step):
            connection.request(target, start, start + step, SIZE)
            if start + step < SIZE:
                connection.ahead(target, start + step, start + 2 * step)
            received = memoryview(bytearray(step))
            assert connection.receive(received) == step
            assert received == DATA[start : start + step]
            connection.finish()
        connection.close()
        assert len(server.requests) == 1, "the first on each connection"
