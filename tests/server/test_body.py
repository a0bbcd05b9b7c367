from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from regather.server.body import FileOutlet, open_outlet
from regather.server.pacer import Pacer


@pytest.mark.parametrize("rate", [1000, 400_000, 20_000_000, 10**9])
def test_a_pacer_keeps_its_rate(rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = 1000.0
    late = 0.0

    async def sleep(seconds: float) -> None:
        nonlocal clock, late
        late = (late + 0.0007) % 0.015  # timers wake late, now more and now less
        clock += seconds + late

    monkeypatch.setattr(time, "monotonic", lambda: clock)
    monkeypatch.setattr(asyncio, "sleep", sleep)

    async def send_for(seconds: float) -> int:
        pacer = Pacer(rate)
        sent = 0
        while clock < 1000 + seconds:
            await pacer.pass_through(pacer.step)
            sent += pacer.step
        return sent

    sent = asyncio.run(send_for(20))
    assert abs(sent / rate / (clock - 1000) - 1) < 0.02


class Transport(asyncio.BaseTransport):
    """Lends a socket to an outlet."""

    def __init__(self, own: socket.socket) -> None:
        super().__init__({"socket": own})


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        theirs.settimeout(20)
        yield ours, theirs


def receive(connection: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        received += connection.recv(1 << 16)
    return bytes(received)


@pytest.mark.parametrize("native", [True, False], ids=["sendfile", "read and write"])
def test_an_outlet_sends_what_it_is_told(
    native: bool, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = os.urandom(3_000_000)
    path = tmp_path_factory.mktemp("body") / "file.dat"
    path.write_bytes(content)

    def missing(*_: object) -> int:
        raise OSError(22, "Invalid argument")

    if not native:
        monkeypatch.setattr(os, "sendfile", missing)

    async def run(ours: socket.socket, theirs: socket.socket) -> tuple[bytes, int]:
        counted: list[int] = []
        receiving = asyncio.get_running_loop().run_in_executor(None, receive, theirs, 2_999_903)
        with FileOutlet(Transport(ours), on_sent=counted.append, timeout=20) as outlet:
            with path.open("rb") as stream:
                await outlet.send_file(stream.fileno(), 100, 2_999_900)
            await outlet.send_bytes(b"end")
            assert outlet.sent == sum(counted)
            return await receiving, outlet.sent

    with pair() as (ours, theirs):
        received, sent = asyncio.run(run(ours, theirs))
    assert received == content[100:] + b"end"
    assert sent == 2_999_903


def test_parts_leave_in_order_until_the_client_takes_nothing() -> None:
    parts = [bytes([n]) * (1 << 20) for n in range(8)]
    views = [memoryview(part) for part in parts]

    async def run(ours: socket.socket, theirs: socket.socket) -> bytes:
        loop = asyncio.get_running_loop()
        with FileOutlet(Transport(ours), on_sent=lambda _: None, timeout=20) as outlet:
            sent = await outlet.send_some(views, patience=0.2)
            assert 0 < sent < 8 << 20
            receiving = loop.run_in_executor(None, receive, theirs, 8 << 20)
            whole, inside = divmod(sent, 1 << 20)
            rest = [views[whole][inside:], *views[whole + 1 :]]
            assert await outlet.send_some(rest, patience=20) == (8 << 20) - sent
            assert outlet.sent == 8 << 20
            return await receiving

    with pair() as (ours, theirs):
        assert asyncio.run(run(ours, theirs)) == b"".join(parts)


def test_an_outlet_gives_up_on_a_client_that_takes_nothing() -> None:
    async def run(ours: socket.socket) -> None:
        with FileOutlet(Transport(ours), on_sent=lambda _: None, timeout=0.1) as outlet:
            await outlet.send_bytes(bytes(10_000_000))

    with pair() as (ours, _), pytest.raises(ConnectionAbortedError):
        asyncio.run(run(ours))


def test_the_system_takes_little_for_a_client_that_takes_nothing() -> None:
    """Else a thousand of them use up the memory that there is for sockets."""

    async def drain() -> None:
        pass

    async def run(ours: socket.socket) -> int:
        transport = Transport(ours)
        with open_outlet(transport, drain, on_sent=lambda _: None, timeout=20) as outlet:
            return await outlet.send_some([memoryview(bytes(16 << 20))], patience=0.3)

    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as theirs:
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        theirs.connect(listener.getsockname())
        ours, _ = listener.accept()
        with ours:
            ours.setblocking(False)
            assert asyncio.run(run(ours)) < 1 << 20


def test_an_outlet_notices_that_the_client_left() -> None:
    async def run(ours: socket.socket, theirs: socket.socket) -> None:
        with FileOutlet(Transport(ours), on_sent=lambda _: None, timeout=20) as outlet:
            asyncio.get_running_loop().call_later(0.1, theirs.close)
            await outlet.send_bytes(bytes(10_000_000))

    with pair() as (ours, theirs), pytest.raises(ConnectionError):
        asyncio.run(run(ours, theirs))


def test_an_outlet_needs_a_connection() -> None:
    async def run(transport: asyncio.BaseTransport | None) -> None:
        with pytest.raises(ConnectionResetError):
            FileOutlet(transport, on_sent=lambda _: None, timeout=1)

    closed = socket.socket()
    closed.close()
    for transport in (None, Transport(closed)):
        asyncio.run(run(transport))
