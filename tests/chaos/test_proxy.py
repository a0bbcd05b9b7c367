"""What the proxy does to a connection, seen from the client."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from tests.chaos.proxy import Proxy
from tests.chaos.schedule import Link
from tests.server.process import read_until_broken
from tests.support.hosting import Hosting
from tests.support.net import HOST, free_port

REQUEST = b"GET /f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def through(link: Link, folder: Path, *, calm: bool = False) -> tuple[bytes, bool, Proxy]:
    """What comes through a proxy, whether it ends in a reset, and the proxy."""
    with Hosting() as hosting:
        server = hosting.serve(folder)
        port = free_port()
        proxy = Proxy(link, port, server.port, "seed", usual=50_000)
        proxy.calm = calm
        hosting.run(proxy.start())
        try:
            with socket.create_connection((HOST, port), timeout=20) as connection:
                connection.settimeout(1.0 if link.stall else 20)
                met = False
                try:
                    connection.sendall(REQUEST)
                except (ConnectionResetError, BrokenPipeError):
                    met = True  # the end of a connection is told once
                received, reset = read_until_broken(connection)
                reset = reset or met
        except ConnectionResetError:  # so early that connecting met it
            received, reset = b"", True
        finally:
            hosting.run(proxy.stop())
    return received, reset, proxy


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "f").write_bytes(bytes(range(256)) * 400)
    return tmp_path


def body(received: bytes) -> bytes:
    return received.partition(b"\r\n\r\n")[2]


def test_it_only_relays(folder: Path) -> None:
    content = (folder / "f").read_bytes()
    for link, calm in ((Link(), False), (Link(reset=1, flip=1, stall=1, cut=1, refuse=1), True)):
        received, reset, proxy = through(link, folder, calm=calm)
        assert body(received) == content
        assert not reset
        assert not proxy.struck
        assert proxy.relayed == len(received)


def test_one_bit_is_turned_over(folder: Path) -> None:
    plain, _, _ = through(Link(), folder)
    received, _, proxy = through(Link(flip=1), folder)
    # Dates differ in no length, and the flip hits one bit of all: compare the bodies or the heads.
    head, content = received[: len(plain) - 102_400], received[-102_400:]
    flips = sum(
        (a ^ b).bit_count() for a, b in zip(content, (folder / "f").read_bytes(), strict=True)
    )
    assert flips == 1 or head != plain[: len(head)]
    assert proxy.struck == {"flip": 1}


def test_cut_and_reset(folder: Path) -> None:
    cut, reset, proxy = through(Link(cut=1), folder)
    assert len(cut) < 102_400
    assert not reset
    assert proxy.struck == {"cut": 1}
    broken, reset, proxy = through(Link(reset=1), folder)
    assert len(broken) < 102_400
    assert reset
    assert proxy.struck == {"reset": 1}


def test_refused(folder: Path) -> None:
    received, reset, proxy = through(Link(refuse=1), folder)
    assert (received, reset) == (b"", True)
    assert proxy.struck == {"refuse": 1}


def test_a_stall_keeps_the_connection(folder: Path) -> None:
    with pytest.raises(TimeoutError):
        through(Link(stall=1), folder)


def test_delay_and_rate(folder: Path) -> None:
    began = time.monotonic()
    received, _, _ = through(Link(delay=0.2, rate=500_000), folder)
    assert body(received) == (folder / "f").read_bytes()
    assert time.monotonic() - began > 0.3
