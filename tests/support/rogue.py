"""A server that answers with whatever bytes a test wants: for all that no honest server sends."""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Self

import pytest

from regather.transport import channel
from regather.transport.connect import peer

Answer = Callable[[bytes, socket.socket], None]
"""Gets a request head and the connection to answer on; the connection is closed afterwards."""


class Rogue:
    """Accepts connections on loopback and lets ``answer`` do what it likes with each request."""

    def __init__(self, answer: Answer, *, tls: ssl.SSLContext | None = None) -> None:
        self._answer = answer
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._threads: list[threading.Thread] = []
        self._closing = threading.Lock()  # a number that is free may become another's
        self._connections: list[socket.socket] = []
        self.requests: list[bytes] = []
        scheme = "https" if tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}/"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, name="rogue")
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._connections.append(connection)
                self._start(lambda c=connection: self._serve(c))  # type: ignore[misc]

    def _close(self, connection: socket.socket) -> None:
        with self._closing:
            connection.close()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            stack.callback(self._close, connection)
            if self._tls is not None:
                connection = stack.enter_context(
                    self._tls.wrap_socket(connection, server_side=True)
                )
            head = b""
            while b"\r\n\r\n" not in head:
                more = connection.recv(65536)
                if not more:
                    return
                head += more
            self.requests.append(head)
            self._answer(head, connection)

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join(60)  # from now on no connection is added
        for connection in self._connections:
            with self._closing, contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(60)


def send_when_it_has_gone(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Have our own transport send requests only after the server has closed with a reset.

    What is returned is set once the connection is there.
    """
    connected = threading.Event()

    def gone(connection: socket.socket) -> str:
        connected.set()
        watched = select.poll()
        watched.register(connection, 0)
        assert watched.poll(30_000)
        return peer(connection)

    monkeypatch.setattr(channel, "peer", gone)
    return connected


def sends(*answers: bytes) -> Answer:
    """Sends the same bytes whatever is asked."""

    def answer(head: bytes, connection: socket.socket) -> None:
        for data in answers:
            connection.sendall(data)

    return answer
