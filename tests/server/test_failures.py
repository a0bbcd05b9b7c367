"""A server whose disk or table of files fails: what it announced comes whole or visibly not."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import selectors
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

import regather
from regather.server import writing
from regather.server.authorization import Tokens
from regather.server.faults import parse_fault
from regather.server.run import Server
from regather.server.serving import tls_context
from tests.server.conftest import BIG
from tests.server.process import HOST, TIMEOUT, Serve, read_until_broken
from tests.support.tls import issue

GET = b"GET /a.dat HTTP/1.1\r\nHost: x\r\n\r\n"
Work = Callable[[socket.socket], Any]


def error(number: int) -> OSError:
    return OSError(number, os.strerror(number))


def serving(folder: Path, work: Work, *, context: Any = None, **options: Any) -> Any:
    """Run a server in this process, whose system calls fail as the test says, beside a client."""

    async def run() -> Any:
        server = Server(folder, **options)
        await server.start()

        def connected() -> Any:
            with closing(socket.create_connection((HOST, server.port), TIMEOUT)) as connection:
                if context is None:
                    return work(connection)
                with context.wrap_socket(
                    connection, server_hostname="localhost", suppress_ragged_eofs=False
                ) as wrapped:
                    return work(wrapped)

        try:
            with ThreadPoolExecutor(1) as pool:
                return await asyncio.get_running_loop().run_in_executor(pool, connected)
        finally:
            await server.stop(0)

    return asyncio.run(run())


def broken(connection: socket.socket) -> tuple[bytes, bool]:
    connection.sendall(GET)
    return read_until_broken(connection)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "served"
    path.mkdir()
    with (path / "a.dat").open("wb") as stream:
        stream.truncate(BIG)
    return path


def test_a_read_that_fails_in_mid_body_resets(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    calls = 0
    sendfile = os.sendfile

    def failing(out: int, source: int, offset: int, count: int) -> int:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise error(errno.EIO)
        return sendfile(out, source, offset, min(count, 100_000))

    monkeypatch.setattr(os, "sendfile", failing)
    received, reset = serving(folder, broken)
    assert reset
    assert len(received) < BIG
    (record,) = caplog.records
    assert record.getMessage() == "sending of 'a.dat' broke off: Input/output error"


def test_the_same_over_tls(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = 0
    pread = os.pread

    def failing(source: int, count: int, offset: int) -> bytes:
        nonlocal calls
        calls += 1
        if calls > 2:
            raise error(errno.EIO)
        return pread(source, count, offset)

    files = issue(tmp_path / "tls")
    monkeypatch.setattr(os, "pread", failing)

    def clean(connection: socket.socket) -> bool:
        try:
            connection.sendall(GET)
            while connection.recv(1 << 16):
                pass
        except (ConnectionResetError, ssl.SSLError):
            return False
        return True

    context = ssl.create_default_context(cafile=str(files.authority))
    tls = tls_context(str(files.certificate), str(files.key))
    assert serving(folder, clean, context=context, tls=tls) is False


def answers(*requests: bytes) -> Work:
    """The status lines of requests on one connection."""

    def ask(connection: socket.socket) -> list[bytes]:
        lines = []
        with connection.makefile("rb") as stream:
            for request in requests:
                connection.sendall(request)
                lines.append(stream.readline().strip())
                length = 0
                while (line := stream.readline().strip()) != b"":
                    if line.lower().startswith(b"content-length:"):
                        length = int(line.split(b":")[1])
                stream.read(length)
        return lines

    return ask


BUSY = b"HTTP/1.1 503 Service Unavailable"


def test_no_descriptor_left_for_the_body(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "a.dat").write_bytes(b"12")
    failures = [error(errno.EMFILE)]
    dup = os.dup

    def failing(number: int) -> int:
        if failures:
            raise failures.pop()
        return dup(number)

    monkeypatch.setattr(os, "dup", failing)
    assert serving(folder, answers(GET, GET)) == [BUSY, b"HTTP/1.1 200 OK"]


@pytest.mark.parametrize(
    ("number", "status"), [(errno.EMFILE, b"503"), (errno.EIO, b"500"), (errno.ENOSPC, b"507")]
)
@pytest.mark.parametrize("what", [".regather-incoming", "new"])
def test_a_file_that_cannot_be_stored(
    what: str,
    number: int,
    status: bytes,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    opened = os.open

    def failing(path: Any, *arguments: Any, **named: Any) -> int:
        if isinstance(path, str) and path.startswith(what):
            raise error(number)
        return opened(path, *arguments, **named)

    monkeypatch.setattr(os, "open", failing)
    put = (
        b"PUT /new/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\nContent-Length: 0\r\n"
        b"Regather-Blake3: " + b"0" * 64 + b"\r\n\r\n"
    )
    (line,) = serving(folder, answers(put), tokens=Tokens(write="secret"))
    assert line.split()[1] == status
    assert os.listdir(folder) == ["a.dat"]
    assert not any("[Errno" in record.getMessage() for record in caplog.records)


def test_who_leaves_before_it_is_asked_for_its_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No disk is blamed for that."""

    async def gone(request: object) -> None:
        raise ConnectionResetError("Cannot write to closing transport")

    monkeypatch.setattr(writing, "go_on", gone)
    put = (
        b"PUT /x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\nContent-Length: 1\r\n"
        b"Regather-Blake3: " + b"0" * 64 + b"\r\n\r\n"
    )
    (line,) = serving(folder, answers(put), tokens=Tokens(write="secret"))
    assert line.split()[1] == b"400"
    assert not caplog.records


def test_of_a_file_that_grows_comes_what_was_announced(folder: Path) -> None:
    with (
        Serve(folder) as server,
        socket.create_connection((HOST, server.port), timeout=TIMEOUT) as connection,
    ):
        connection.sendall(GET)
        connection.recv(1, socket.MSG_PEEK)
        with (folder / "a.dat").open("ab") as stream:
            stream.write(b"x" * 100_000)
        with connection.makefile("rb") as stream:
            while stream.readline().strip():
                pass
            assert stream.read(BIG) == bytes(BIG)
        connection.sendall(GET.replace(b"GET", b"HEAD"))
        assert connection.recv(100).startswith(b"HTTP/1.1 200 "), "nothing came in between"


def test_a_folder_that_another_process_removes_at_once_is_made_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [error(errno.ENOENT)] * 3
    opened = os.open

    def failing(path: Any, *arguments: Any, **named: Any) -> int:
        if isinstance(path, str) and path.startswith(".regather-incoming") and failures:
            raise failures.pop()
        return opened(path, *arguments, **named)

    monkeypatch.setattr(os, "open", failing)
    put = (
        b"PUT /new/x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\nContent-Length: 2\r\n"
        b"Regather-Blake3: " + blake3(b"12").hexdigest().encode() + b"\r\n\r\n12"
    )
    assert serving(folder, answers(put), tokens=Tokens(write="secret")) == [b"HTTP/1.1 201 Created"]
    assert (folder / "new" / "x").read_bytes() == b"12"


def test_a_byte_to_corrupt_that_is_gone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pread", lambda *_: b"")
    received, reset = serving(folder, broken, faults=[parse_fault("corrupt")], fault_seed=1)
    assert reset
    assert len(received) < BIG


@pytest.mark.parametrize("call", [(selectors, "DefaultSelector"), (socket, "socketpair")])
def test_no_descriptor_left_for_the_loop(
    folder: Path, monkeypatch: pytest.MonkeyPatch, call: tuple[object, str]
) -> None:
    """Half a loop is dropped without the traceback that asyncio would print."""

    def failing(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    printed: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", printed.append)
    monkeypatch.setattr(*call, failing)
    with pytest.raises(OSError, match=os.strerror(errno.EMFILE)) as caught:
        regather.serve(folder, port=0)
    del caught
    gc.collect()
    assert not printed


def test_no_thread_left(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    start = threading.Thread.start

    def failing(thread: threading.Thread) -> None:
        if thread.name.startswith("asyncio_"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", failing)
    listing = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    put = (
        b"PUT /x HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer secret\r\nContent-Length: 0\r\n"
        b"Regather-Blake3: " + b"0" * 64 + b"\r\n\r\n"
    )
    assert serving(folder, answers(listing, put), tokens=Tokens(write="secret")) == [BUSY, BUSY]
    assert caplog.records == []
    assert os.listdir(folder) == ["a.dat"]
