"""Answers that come before all of a body is sent."""

from __future__ import annotations

import socket

import pytest

from regather.transport import HttpConnection, TransportOptions, channel
from regather.transport.wire import RequestBody
from tests.support.rogue import Rogue

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
