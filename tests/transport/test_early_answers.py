"""Answers that come before all of a body is sent."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from pathlib import Path

import pytest

from regather.transport import HttpConnection, RequestFailed, TransportOptions, channel
from regather.transport.wire import RequestBody
from tests.support.rogue import Rogue, send_when_it_has_gone
from tests.support.tls import issue

BODY = RequestBody(64 << 20, lambda offset, into: None)


def test_a_late_100(monkeypatch: pytest.MonkeyPatch) -> None:
    """The body is sent already, and goes on."""
    monkeypatch.setattr(channel, "_CONTINUE_WAIT", 0.01)
    received: list[int] = []

    def answer(head: bytes, connection: socket.socket) -> None:
        left = BODY.size
        while left:
            if left < BODY.size // 2 and not received:
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
                received.append(left)
            left -= len(connection.recv(min(left, 1 << 20)))
        received.append(left)
        connection.sendall(b"HTTP/1.1 201 Made\r\nContent-Length: 0\r\n\r\n")

    with Rogue(answer) as rogue:
        connection = HttpConnection(TransportOptions(timeout=10))
        connection.submit("PUT", rogue.url + "x", [], BODY)
        connection.close()
    assert received[-1] == 0


@pytest.mark.parametrize("tls", [False, True])
def test_an_answer_of_a_server_that_reads_no_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tls: bool
) -> None:
    """It comes while sending waits for room: seen at once, not when a time-out has passed."""
    monkeypatch.setattr(channel, "_CONTINUE_WAIT", 0.01)
    files = issue(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    seen = threading.Event()
    statuses: list[int] = []

    def answer(head: bytes, connection: socket.socket) -> None:
        # Else the window that the answer tells may be wider, by chance.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        seen.wait(1)  # by then there is no room any more
        connection.sendall(b"HTTP/1.1 413 Much\r\nContent-Length: 0\r\n\r\n")
        seen.wait(60)

    def ask() -> None:
        trusted = ssl.create_default_context(cafile=str(files.authority))
        connection = HttpConnection(TransportOptions(timeout=500, tls=lambda: trusted))
        statuses.append(connection.submit("PUT", rogue.url + "x", [], BODY)[0].status)
        connection.close()
        seen.set()

    with Rogue(answer, tls=context if tls else None) as rogue:
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        assert seen.wait(30)
        thread.join()
    assert statuses == [413]


def test_last_words_before_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that has no room says so at once and closes: the request can no longer be sent."""
    connected = send_when_it_has_gone(monkeypatch)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def refuse() -> None:
            served, _ = listening.accept()
            connected.wait(30)
            served.sendall(b"HTTP/1.1 429 Much\r\nContent-Length: 0\r\n\r\n")
            served.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            served.close()  # with a reset

        thread = threading.Thread(target=refuse)
        thread.start()
        connection = HttpConnection(TransportOptions(timeout=10))
        with pytest.raises(RequestFailed, match="429"):
            connection.fetch(f"http://127.0.0.1:{listening.getsockname()[1]}/x", 100)
        connection.close()
        thread.join()


def test_a_408_for_an_idle_connection_answers_no_request() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
    late = b"HTTP/1.1 408 Idle\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"

    def answer(head: bytes, connection: socket.socket) -> None:
        connection.sendall(whole)
        if len(rogue.requests) == 1:
            assert connection.recv(10000)
            connection.sendall(late)

    with Rogue(answer) as rogue:
        connection = HttpConnection(TransportOptions(timeout=10))
        assert connection.fetch(rogue.url + "x", 100)[0] == b"a"
        assert connection.fetch(rogue.url + "y", 100)[0] == b"a"
        connection.close()
    assert [request.split()[1] for request in rogue.requests] == [b"/x", b"/y"]
