"""What comes over TLS: records of any size put together, its end and silence told apart."""

from __future__ import annotations

import random
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from regather.transport import TICK, Failure, HttpConnection, RequestFailed, TransportOptions
from tests.support.rogue import Answer, Rogue
from tests.support.tls import issue

SIZE = 300_000
DATA = random.Random(4).randbytes(SIZE)
Asking = Callable[[Answer], AbstractContextManager[HttpConnection]]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % SIZE


@pytest.fixture
def asking(tmp_path: Path) -> Asking:
    """A connection to a server that answers as told, which has been asked for all of DATA."""
    files = issue(tmp_path / "tls")
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(files.certificate, files.key)
    ours = ssl.create_default_context(cafile=str(files.authority))

    @contextmanager
    def ask(answer: Answer) -> Iterator[HttpConnection]:
        with Rogue(answer, tls=theirs) as rogue:
            connection = HttpConnection(TransportOptions(timeout=0.6, tls=lambda: ours))
            try:
                connection.request(rogue.url + "f", 0, SIZE, SIZE)
                yield connection
            finally:
                connection.close()

    return ask


def receive_all(connection: HttpConnection) -> tuple[bytes, RequestFailed | None]:
    """The body as far as it comes, and how it failed."""
    buffer, have = memoryview(bytearray(SIZE)), 0
    try:
        while have < SIZE:
            have += connection.receive(buffer[have:])
    except RequestFailed as error:
        return bytes(buffer[:have]), error
    return bytes(buffer), None


@pytest.mark.parametrize("step", [700, 16 << 10, SIZE])
def test_records_of_any_size(asking: Asking, step: int) -> None:
    def answer(head: bytes, connection: socket.socket) -> None:
        connection.sendall(HEAD)
        for at in range(0, SIZE, step):
            connection.sendall(DATA[at : at + step])

    with asking(answer) as connection:
        assert receive_all(connection) == (DATA, None)


@pytest.mark.parametrize("politely", [True, False])
@pytest.mark.parametrize("count", [0, 20_000, SIZE - 1])
def test_a_body_cut_short(asking: Asking, count: int, politely: bool) -> None:
    """Whether TLS says that it ends, or the connection just does: what came before counts."""

    def answer(head: bytes, connection: socket.socket) -> None:
        connection.sendall(HEAD + DATA[:count])
        if politely:
            assert isinstance(connection, ssl.SSLSocket)
            connection.unwrap()
        else:
            connection.shutdown(socket.SHUT_WR)

    with asking(answer) as connection:
        body, error = receive_all(connection)
    assert body == DATA[:count]
    assert error is not None
    assert error.failure is Failure.TRUNCATED


def test_silence(asking: Asking) -> None:
    """What came is handed out, then nothing a tick, then the time-out."""
    done = threading.Event()

    def answer(head: bytes, connection: socket.socket) -> None:
        connection.sendall(HEAD + DATA[:20_000])
        done.wait(20)

    with asking(answer) as connection:
        buffer = memoryview(bytearray(SIZE))
        have = 0
        while have < 20_000:
            have += connection.receive(buffer[have:])
        assert connection.receive(buffer[have:]) == 0
        body, error = receive_all(connection)
        done.set()
    assert body == b""
    assert error is not None
    assert error.failure is Failure.TIMEOUT
    assert TICK < 0.6


def test_aborted_from_another_thread(asking: Asking) -> None:
    done = threading.Event()

    def answer(head: bytes, connection: socket.socket) -> None:
        connection.sendall(HEAD)
        done.wait(20)

    with asking(answer) as connection:
        threading.Timer(0.05, connection.abort).start()
        _, error = receive_all(connection)
        done.set()
    assert error is not None
    assert error.failure is Failure.ABORTED


def test_bytes_that_are_no_tls(asking: Asking) -> None:
    """Somebody between who puts bytes into the stream."""

    def answer(head: bytes, connection: socket.socket) -> None:
        connection.sendall(HEAD + DATA[:20_000])
        plain = socket.socket(fileno=connection.detach())
        plain.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        plain.shutdown(socket.SHUT_WR)
        plain.recv(65536)
        plain.close()

    with asking(answer) as connection:
        body, error = receive_all(connection)
    assert DATA.startswith(body)
    assert error is not None
    assert error.failure is Failure.RESET


READS = """
import ssl, threading, time
from regather.transport import TransportOptions

def create():
    print("read")
    time.sleep(0.2)
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

ssl.create_default_context = create
threads = [threading.Thread(target=TransportOptions().tls) for _ in range(5)]
for thread in threads:
    thread.start()
"""


def test_the_authorities_of_the_system_are_read_once() -> None:
    """Not by each of the connections that begin at once."""
    done = subprocess.run(
        [sys.executable, "-c", READS], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "read\n"
