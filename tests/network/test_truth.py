"""The links do what their settings say: real packets through real network stacks."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.network.conftest import MakeStar, mbit
from tests.support.network import Star

PORT = 5001
PING, BULK = b"p", b"b"


@contextmanager
def answering(star: Star, size: int) -> Iterator[None]:
    """The first source answers each byte with one, or with ``size`` bytes."""
    source = star.sources[0]
    with source.namespace.entered():
        listener = socket.create_server((source.address, PORT))

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(30)
            while asked := connection.recv(1):
                connection.sendall(bytes(size) if asked == BULK else PING)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        thread.join(40)
        listener.close()


@contextmanager
def asking(star: Star) -> Iterator[socket.socket]:
    with star.client.entered():
        connection = socket.create_connection((star.sources[0].address, PORT), timeout=30)
    with connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield connection


@pytest.mark.parametrize(("rate", "rtt_ms"), [(100, 20), (20, 100)])
def test_round_trip_and_rate(make_star: MakeStar, rate: float, rtt_ms: float) -> None:
    """Never faster than the link; docs/performance.md has how near an idle machine comes to it."""
    link = mbit(rate, rtt_ms)
    size = int(link.payload * 2)
    star = make_star(link)
    with answering(star, size), asking(star) as connection:
        trips = []
        for _ in range(10):
            began = time.monotonic()
            connection.sendall(PING)
            assert connection.recv(1) == PING
            trips.append(time.monotonic() - began)
        began = time.monotonic()
        connection.sendall(BULK)
        left = size
        while left:
            count = len(connection.recv(1 << 20))
            assert count
            left -= count
        seconds = time.monotonic() - began
    assert link.rtt <= min(trips) + 0.001
    assert seconds > 0.9 * size / link.payload, "faster than the link can be"
    assert seconds < 60, "far slower than the link"


def test_what_is_dropped_is_told_and_tcp_repairs_it(make_star: MakeStar) -> None:
    star = make_star(mbit(20, 10, loss=0.02))
    with answering(star, 1_000_000), asking(star) as connection:
        connection.sendall(BULK)
        left = 1_000_000
        while left:
            left -= len(connection.recv(1 << 20))
    star.close()
    report = star.sources[0].link.report
    assert report["back"]["lost"] > 0
    assert report["back"]["packets"] >= 1_000_000 // 1448


def test_an_unplugged_source_is_silent_until_it_is_plugged_in_again(make_star: MakeStar) -> None:
    star = make_star(mbit(20, 10))
    with answering(star, 0), asking(star) as connection:
        star.sources[0].unplug()
        connection.sendall(PING)
        connection.settimeout(0.3)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        star.sources[0].plug_in()
        connection.settimeout(30)
        assert connection.recv(1) == PING


def test_nothing_of_it_is_seen_outside_nor_left_behind(make_star: MakeStar) -> None:
    def devices() -> str:
        return subprocess.run(
            ["cat", "/proc/net/dev"], capture_output=True, text=True, check=True
        ).stdout

    def names(listing: str) -> set[str]:
        return {line.partition(":")[0].strip() for line in listing.splitlines()[2:]}

    before = names(devices())
    star = make_star(mbit(1, 1), mbit(1, 1))
    assert names(devices()) == before
    with star.client.entered():
        assert names(devices()) >= {"lo", "source1", "source2"}
    assert names(devices()) == before
    star.close()
    assert all(source.link.report for source in star.sources), "an emulator did not end in order"
    assert names(devices()) == before
