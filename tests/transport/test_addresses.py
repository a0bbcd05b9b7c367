"""Hosts with several addresses, and those that are written as one."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

import regather
from regather.server.run import Server
from regather.transport import (
    Failure,
    HttpConnection,
    RequestFailed,
    TransportOptions,
    open_connection,
)
from regather.transport.dial import in_turn
from tests.support.files import random_file
from tests.support.ftp import FtpServer
from tests.support.hosting import Hosting
from tests.support.net import free_port
from tests.support.rogue import Rogue, sends
from tests.support.sftp import SftpServer
from tests.support.tls import issue

QUICK = TransportOptions(connect_timeout=30, timeout=30)
Known = Callable[[Sequence[tuple[str, int]]], None]


@contextmanager
def swallowing() -> Iterator[int]:
    """A port on ::1 that answers no attempt to connect: its queue is full."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6, backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = [socket.socket(socket.AF_INET6) for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("::1", port))
        yield port
        for one in waiting:
            one.close()


@pytest.fixture
def known_as(monkeypatch: pytest.MonkeyPatch) -> Known:
    """Makes ``several.example`` a host of the given addresses and ports, in this order."""
    genuine = socket.getaddrinfo

    def name(addresses: Sequence[tuple[str, int]]) -> None:
        def look_up(host: bytes | str, port: int, *rest: Any, **more: Any) -> list[Any]:
            if host != b"several.example":
                return list(genuine(host, port, *rest, **more))
            return [one for a, p in addresses for one in genuine(a, p, type=socket.SOCK_STREAM)]

        monkeypatch.setattr(socket, "getaddrinfo", look_up)

    return name


def fetched(options: TransportOptions = QUICK, url: str = "http://several.example/f") -> bytes:
    connection = HttpConnection(options)
    try:
        return connection.fetch(url, 1000)[0]
    finally:
        connection.close()


@contextmanager
def mute(port: int = 0) -> Iterator[tuple[int, list[socket.socket]]]:
    """A port on ::1 that accepts connections and says nothing, and all of these."""
    connections: list[socket.socket] = []
    with socket.create_server(("::1", port), family=socket.AF_INET6) as listener:

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connections.append(listener.accept()[0])

        thread = threading.Thread(target=accept)
        thread.start()
        yield listener.getsockname()[1], connections
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(60)
        for one in connections:
            one.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_one_that_says_nothing_is_left_for_another(
    known_as: Known, hosting: Hosting, tmp_path: Path, scheme: str
) -> None:
    (tmp_path / "f").write_bytes(b"hello")
    files = issue(tmp_path / "tls", "several.example") if scheme == "https" else None
    server = hosting.serve(tmp_path, tls=files)
    options = TransportOptions(connect_timeout=1, timeout=5)
    if files is not None:
        options = replace(options, tls=lambda: ssl.create_default_context(cafile=files.authority))
    with mute() as (port, connections):
        known_as([("::1", port), ("127.0.0.1", server.port)])
        for _ in range(3):
            assert fetched(options, f"{scheme}://several.example/f") == b"hello"
        assert len(connections) == 1  # it is remembered


def test_libcurl_leaves_it_too(known_as: Known) -> None:
    with Rogue(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")) as rogue:
        port = int(rogue.url.split(":")[2][:-1])
        with mute(port) as (_, connections):
            known_as([("::1", port), ("127.0.0.1", port)])
            options = TransportOptions(connect_timeout=1, timeout=5, http2=True)
            for _ in range(3):
                assert fetched(options, f"http://several.example:{port}/f") == b"hello"
        assert len(connections) == 1


def test_the_last_address_gets_all_the_time(known_as: Known) -> None:
    """Where all are slow, none is given up for it."""

    def slow(head: bytes, connection: socket.socket) -> None:
        time.sleep(1)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

    with mute() as (port, _), Rogue(slow) as rogue:
        known_as([("::1", port), ("127.0.0.1", int(rogue.url.split(":")[2][:-1]))])
        options = TransportOptions(connect_timeout=1, timeout=4)
        assert fetched(options) == b"hello"


def test_one_that_swallows_packets_costs_no_timeout(
    known_as: Known, hosting: Hosting, tmp_path: Path
) -> None:
    (tmp_path / "f").write_bytes(b"hello")
    server = hosting.serve(tmp_path)
    with swallowing() as port:
        known_as([("::1", port), ("127.0.0.1", server.port)])
        began = time.monotonic()
        assert fetched(replace(QUICK, connect_timeout=60)) == b"hello"
        assert time.monotonic() - began < 30


def test_one_that_refuses(known_as: Known, hosting: Hosting, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"hello")
    known_as([("::1", free_port("::1")), ("127.0.0.1", hosting.serve(tmp_path).port)])
    assert fetched() == b"hello"


def test_all_refuse(known_as: Known) -> None:
    known_as([("::1", free_port("::1")), ("127.0.0.1", free_port())])
    with pytest.raises(RequestFailed) as caught:
        fetched()
    assert caught.value.failure is Failure.UNREACHABLE
    assert "refused" in caught.value.what


def test_none_answers(known_as: Known) -> None:
    with swallowing() as port:
        known_as([("::1", port)])
        with pytest.raises(RequestFailed) as caught:
            fetched(replace(QUICK, connect_timeout=0.3))
    assert caught.value.failure is Failure.TIMEOUT


def test_aborted_while_it_connects(known_as: Known) -> None:
    with swallowing() as port:
        known_as([("::1", port)])
        connection = HttpConnection(replace(QUICK, connect_timeout=60))
        aborting = threading.Timer(0.1, connection.abort)
        aborting.start()
        with pytest.raises(RequestFailed) as caught:
            connection.fetch("http://several.example/f", 1000)
        aborting.join()
    assert caught.value.failure is Failure.ABORTED


def test_families_take_turns() -> None:
    six, four = socket.AF_INET6, socket.AF_INET
    given = [(family, 1, 6, "", (n,)) for n, family in enumerate((six, six, six, four, four))]
    assert [address[0] for *_, address in in_turn(given)] == [0, 3, 1, 4, 2]


# -- literal addresses of IPv6 ----------------------------------------------------------------


def test_http(hosting: Hosting, tmp_path: Path) -> None:
    random_file(tmp_path / "f.dat", 100_000)

    async def start() -> Server:
        server = Server(tmp_path, host="::1", port=0)
        await server.start()
        return server

    server = hosting.run(start())
    assert server.url.startswith("http://[::1]:")
    settings = regather.Settings(sync=False)
    for libcurl in (False, True):
        settings = replace(settings, http2=libcurl)
        regather.download(server.url + "f.dat", tmp_path / "got", force=True, settings=settings)
        assert (tmp_path / "got").read_bytes() == (tmp_path / "f.dat").read_bytes()
    hosting.run(server.stop(grace=0))


def test_an_error_names_it_in_brackets() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:

        def close() -> None:
            listening.accept()[0].close()

        closing = threading.Thread(target=close)
        closing.start()
        port = listening.getsockname()[1]
        connection = HttpConnection(TransportOptions(timeout=10))
        with pytest.raises(RequestFailed, match=rf"^\[::1\]:{port}: "):
            connection.fetch(f"http://[::1]:{port}/f", 1000)
        closing.join()


def test_ftp_and_sftp(tmp_path: Path) -> None:
    random_file(tmp_path / "f.dat", 100_000)
    with FtpServer(tmp_path, host="::1") as ftp, SftpServer(tmp_path, host="::1") as sftp:
        settings = regather.Settings(
            sync=False, hosts=sftp.access, known_hosts=str(sftp.known_hosts)
        )
        for url in (ftp.url, sftp.url):
            regather.download(url + "f.dat", tmp_path / "got", force=True, settings=settings)
            assert (tmp_path / "got").read_bytes() == (tmp_path / "f.dat").read_bytes()


@pytest.mark.parametrize("libcurl", [False, True])
@pytest.mark.parametrize("host", ["[::1%251]", "[::1%1]"])
def test_the_zone_of_an_address(hosting: Hosting, tmp_path: Path, host: str, libcurl: bool) -> None:
    """RFC 6874; what comes after the address means nothing to the server, and is not sent.

    Names of interfaces are looked up for addresses of a link only, numbers for all.
    """
    heads: list[bytes] = []
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:

        def answer() -> None:
            connection, _ = listener.accept()
            with connection:
                heads.append(connection.recv(10_000))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")

        thread = threading.Thread(target=answer)
        thread.start()
        port = listener.getsockname()[1]
        options = replace(QUICK, http2=libcurl)
        assert fetched(options, f"http://{host}:{port}/f") == b"hello"
        thread.join(60)
    assert f"\r\nhost: [::1]:{port}\r\n".encode() in heads[0].lower()


def test_port_zero_is_nobodys() -> None:
    for url in ("http://127.0.0.1:0/f", "ftp://127.0.0.1:0/f", "https://[::1]:00/f"):
        connection = open_connection(url, QUICK)
        with pytest.raises(RequestFailed, match="with such a port"):
            connection.fetch(url, 100)
        connection.close()
