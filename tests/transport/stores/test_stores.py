"""What only stores over HTTP, or only local ones, must do; see tests/conformance for the rest."""

from __future__ import annotations

import errno
import os
import socket
import threading
from pathlib import Path

import pytest

from regather.errors import UsageError
from regather.server.authorization import Tokens
from regather.transport import Failure, RequestFailed, TransportOptions
from regather.transport.stores.base import Store
from regather.transport.stores.open import open_store
from tests.conformance.test_storing import (
    DATA,
    DIGEST,
    MIB,
    failure,
    options_for,
    reader,
)
from tests.support.hosting import Hosting
from tests.support.net import free_port
from tests.support.rogue import Rogue, sends


def store_at(url: str, timeout: float = 5.0) -> Store:
    return open_store(url, options_for(timeout))


def test_who_may_not_write(tmp_path: Path, hosting: Hosting) -> None:
    for tokens, says in (
        (Tokens(write="another"), "not accepted"),
        (Tokens(read="secret", write="another"), "reading only"),
        (None, "--write-token FILE"),
    ):
        store = store_at(hosting.serve(tmp_path, tokens=tokens).url)
        with pytest.raises(RequestFailed, match=says) as caught:
            store.put("x.dat", len(DATA), reader(), DIGEST)
        assert caught.value.failure is Failure.FORBIDDEN
        store.close()
    assert os.listdir(tmp_path) == []


def test_nobody_there() -> None:
    store = store_at(f"http://127.0.0.1:{free_port()}/")
    assert failure(lambda: store.put("x.dat", 3, reader(), DIGEST)) is Failure.UNREACHABLE
    assert failure(lambda: store.stat("x.dat")) is Failure.UNREACHABLE


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (b"503 Busy\r\nRetry-After: 7", Failure.BUSY),
        (b"500 Oops", Failure.SERVER_ERROR),
        (b"404 No", Failure.MISSING),
        (b"405 No", Failure.FORBIDDEN),
        (b"507 Full", Failure.NO_SPACE),
        (b"409 Conflict", Failure.BAD_RESPONSE),
        (b"302 Found\r\nLocation: http://127.0.0.1:1/", Failure.FORBIDDEN),
    ],
)
@pytest.mark.parametrize("size", [0, 1000, len(DATA)])
def test_answers(answer: bytes, expected: Failure, size: int) -> None:
    """Also where the server answers before it has the body, and closes."""
    with Rogue(sends(b"HTTP/1.1 " + answer + b"\r\nContent-Length: 0\r\n\r\n")) as rogue:
        store = store_at(rogue.url)
        with pytest.raises(RequestFailed) as caught:
            store.put("x.dat", size, reader(), DIGEST)
        assert caught.value.failure is expected
        assert caught.value.retry_after == (7.0 if expected is Failure.BUSY else None)
        store.close()
        assert len(rogue.requests) == 1


def test_what_a_server_says_is_told_without_harm() -> None:
    body = b"no room\x1b[31m for this\nmore"
    head = b"HTTP/1.1 507 x\r\nContent-Length: %d\r\n\r\n" % len(body)
    with Rogue(sends(head + body)) as rogue:
        store = store_at(rogue.url)
        with pytest.raises(RequestFailed) as caught:
            store.put("x.dat", 0, reader(), DIGEST)
        assert "(no room\\x1b[31m for this)" in caught.value.what
        store.close()


def read_head_and_body(connection: socket.socket, head: bytes, size: int) -> bytes:
    body = head.partition(b"\r\n\r\n")[2]
    while len(body) < size and (more := connection.recv(1 << 20)):
        body += more
    return body


def test_a_server_that_does_not_ask_for_the_body() -> None:
    """It is sent after a while, as RFC 9110 has it."""
    got = []

    def answer(head: bytes, connection: socket.socket) -> None:
        got.append(read_head_and_body(connection, head, len(DATA)))
        compared = b"Regather-Blake3: " + DIGEST.hex().encode()
        connection.sendall(b"HTTP/1.1 201 Made\r\nContent-Length: 0\r\n" + compared + b"\r\n\r\n")

    with Rogue(answer) as rogue:
        store = store_at(rogue.url, timeout=1.0)
        store.put("x.dat", len(DATA), reader(), DIGEST)
        store.close()
        assert b"Expect: 100-continue" in rogue.requests[0]
        assert f"Regather-Blake3: {DIGEST.hex()}".encode() in rogue.requests[0]
    assert got == [DATA]


def test_an_answer_in_the_middle_of_the_body() -> None:
    def answer(head: bytes, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.recv(1 << 20)
        connection.sendall(b"HTTP/1.1 507 Full\r\nContent-Length: 6\r\n\r\nsorry\n")
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(1 << 20):
            pass

    with Rogue(answer) as rogue:
        store = store_at(rogue.url)
        size = 1 << 30

        def read(offset: int, into: memoryview) -> None:
            pass

        with pytest.raises(RequestFailed, match="sorry") as caught:
            store.put("x.dat", size, read, DIGEST)
        assert caught.value.failure is Failure.NO_SPACE
        store.close()


@pytest.mark.parametrize("asked", [False, True])
def test_a_server_that_falls_silent(asked: bool) -> None:
    ended = threading.Event()

    def answer(head: bytes, connection: socket.socket) -> None:
        if asked:
            connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        ended.wait(30)

    with Rogue(answer) as rogue:
        store = store_at(rogue.url, timeout=0.5)
        size = 256 * MIB  # more than fits into the buffers in between

        def read(offset: int, into: memoryview) -> None:
            pass

        try:
            assert failure(lambda: store.put("x.dat", size, read, DIGEST)) is Failure.TIMEOUT
        finally:
            ended.set()
            store.close()


def test_a_connection_lost_in_mid_body() -> None:
    def answer(head: bytes, connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        connection.recv(1 << 20)

    with Rogue(answer) as rogue:
        store = store_at(rogue.url)
        lost = failure(lambda: store.put("x.dat", len(DATA), reader(), DIGEST))
        assert lost in (Failure.RESET, Failure.TRUNCATED)
        assert len(rogue.requests) == 1
        store.close()


def test_a_server_that_was_started_anew_meanwhile(tmp_path: Path, hosting: Hosting) -> None:
    server = hosting.serve(tmp_path, tokens=Tokens(write="secret"))
    store = store_at(server.url)
    store.put("x.dat", len(DATA), reader(), DIGEST)
    hosting.kill(server)
    hosting.serve(tmp_path, tokens=Tokens(write="secret"), port=server.port)
    store.put("y.dat", len(DATA), reader(), DIGEST)
    store.close()
    assert sorted(os.listdir(tmp_path)) == ["x.dat", "y.dat"]


@pytest.mark.parametrize(
    "url",
    [
        "s3://buck et/x",
        "http://",
        "http://a:b:c/",
        "http://h/?q",
        "http://u:s3cret@h/",
        "file:///x",
    ],
)
def test_places_that_are_none(url: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_store(url, TransportOptions())
    assert "s3cret" not in str(caught.value)


# -- only locally -----------------------------------------------------------------------------


def test_a_disk_that_fills_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(str(tmp_path), TransportOptions())
    real = os.write

    def write(descriptor: int, data: memoryview) -> int:
        if len(data) < MIB:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", write)
    put = lambda: store.put("x.dat", len(DATA), reader(), DIGEST)  # noqa: E731
    assert failure(put) is Failure.NO_SPACE
    assert os.listdir(tmp_path) == []


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".regather-incoming-0123456789abcdef").write_bytes(b"x")
    store = open_store(str(tmp_path), TransportOptions())
    store.put("x.dat", len(DATA), reader(), DIGEST)
    assert os.listdir(tmp_path) == ["x.dat"]


def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    for base in ("f", "f/sub"):
        store = open_store(str(tmp_path / base), TransportOptions())
        with pytest.raises(RequestFailed):
            store.put("x.dat", len(DATA), reader(), DIGEST)
        assert store.stat("x.dat") is None
