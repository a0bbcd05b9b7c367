"""A connection that another thread breaks off."""

from __future__ import annotations

import socket
import threading

import pytest

from regather.transport import HttpConnection, RequestFailed, TransportOptions
from regather.transport.curl.wake import Wake
from regather.transport.receiver import Receiver
from tests.support.net import PATIENCE
from tests.support.rogue import Rogue


def test_no_socket_is_closed_while_it_is_shut_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number might be another socket's by then, of anybody in this process."""
    began, go = threading.Event(), threading.Event()
    seen: list[int] = []

    def shutdown(one: socket.socket, how: int) -> None:
        began.set()
        go.wait(PATIENCE)
        seen.append(one.fileno())

    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    with Rogue(lambda _, connection: connection.sendall(head + b"123")) as rogue:
        connection = HttpConnection(TransportOptions(timeout=5))
        connection.request(rogue.url, 0, 9, 9)
        with monkeypatch.context() as patched:
            patched.setattr(socket.socket, "shutdown", shutdown)
            aborting = threading.Thread(target=connection.abort)
            aborting.start()
            assert began.wait(PATIENCE)
            closing = threading.Thread(target=connection.close)
            closing.start()
            closing.join(0.1)
            go.set()
            aborting.join()
            closing.join()
        assert all(number >= 0 for number in seen)
        assert seen
        with pytest.raises(RequestFailed):
            connection.request(rogue.url, 0, 9, 9)


def test_a_child_does_not_wait_for_threads_of_its_parent() -> None:
    """One may have been about to break the connection off."""
    connection = Receiver(TransportOptions())
    far, near = socket.socketpair()
    with far, near:
        connection._hold(near)
        held, go = threading.Event(), threading.Event()

        def hold() -> None:
            with connection._guard:
                held.set()
                go.wait(PATIENCE)

        thread = threading.Thread(target=hold)
        thread.start()
        assert held.wait(PATIENCE)
        connection.forsake()
        assert near.fileno() == -1
        go.set()
        thread.join()


def test_what_wakes_is_not_closed_meanwhile() -> None:
    """Else a byte could go to another socket."""
    wake = Wake()
    ear, mouth = wake._ear, wake._mouth
    with wake._guard:
        threads = [threading.Thread(target=call) for call in (wake.call, wake.close)]
        for thread in threads:
            thread.start()
            thread.join(0.1)
        assert ear.fileno() >= 0
        assert mouth.fileno() >= 0
        with pytest.raises(BlockingIOError):
            ear.recv(1)
    for thread in threads:
        thread.join(PATIENCE)
    assert mouth.fileno() == -1
    wake.call()
