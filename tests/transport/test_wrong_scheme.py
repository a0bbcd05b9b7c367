"""Plain http where TLS is spoken, and the other way round: told at once, and no secret sent."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from regather.errors import UsageError
from regather.sources.addresses import check_scheme, with_scheme
from regather.transport import Credentials, Failure, HttpConnection, RequestFailed, TransportOptions
from regather.transport.wire import RequestBody
from tests.support.rogue import Rogue, sends
from tests.support.tls import issue

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture(params=["sockets", "libcurl"])
def options(request: pytest.FixtureRequest) -> TransportOptions:
    return TransportOptions(connect_timeout=10, timeout=10, http2=request.param == "libcurl")


class TlsServer:
    """Speaks TLS, and remembers with what each connection began."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.begun: list[bytes] = []
        self.thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.begun.append(connection.recv(8, socket.MSG_PEEK))
                with contextlib.suppress(OSError), connection:
                    self._context.wrap_socket(connection, server_side=True).close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.thread.join(60)


@pytest.fixture(params=[False, True], ids=["", "cert"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TlsServer]:
    """One that may also want a certificate of its clients."""
    files = issue(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    if request.param:
        context.load_verify_locations(files.certificate)
        context.verify_mode = ssl.CERT_REQUIRED
    made = TlsServer(context)
    made.thread.start()
    yield made
    made.close()


def test_http_where_tls_is_spoken(server: TlsServer, options: TransportOptions) -> None:
    connection = HttpConnection(options)
    url = f"http://127.0.0.1:{server.port}/f"
    for ask in (
        lambda: connection.fetch(url, 100),
        lambda: connection.probe(url),
        lambda: connection.submit("PUT", url, [], RequestBody(3, lambda at, into: None)),
    ):
        with pytest.raises(RequestFailed, match="requires TLS: use https://") as caught:
            ask()
        assert caught.value.failure is Failure.BAD_RESPONSE  # lasting: it is not asked again
    connection.close()


def test_no_secret_goes_there_in_the_clear(server: TlsServer, options: TransportOptions) -> None:
    """``127.1`` is this machine to the system only: any name may lead anywhere."""
    url = f"http://127.1:{server.port}/f"
    connection = HttpConnection(replace(options, credentials=Credentials({"127.1": "t0ken"})))
    for ask in (lambda: connection.fetch(url, 100), lambda: connection.submit("DELETE", url, [])):
        with pytest.raises(RequestFailed, match="use https://"):
            ask()
    connection.close()
    assert server.begun
    assert all(begun.startswith(b"\x16\x03") for begun in server.begun)


def test_who_speaks_http_gets_it(options: TransportOptions) -> None:
    with Rogue(sends(OK)) as rogue:
        url = rogue.url.replace("127.0.0.1", "127.1") + "f"
        connection = HttpConnection(replace(options, credentials=Credentials({"127.1": "t0ken"})))
        assert [connection.fetch(url, 100)[0] for _ in range(3)] == [b"ok"] * 3
        connection.close()
        assert [b"t0ken" in head for head in rogue.requests] == [True] * 3


def test_https_where_none_is_spoken(options: TransportOptions) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with contextlib.suppress(OSError), connection:
                    connection.recv(1000)
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    thread = threading.Thread(target=answer)
    thread.start()
    connection = HttpConnection(options)
    with pytest.raises(RequestFailed, match="use http://") as caught:
        connection.fetch(f"https://127.0.0.1:{listener.getsockname()[1]}/f", 100)
    connection.close()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(60)
    assert caught.value.failure is Failure.BAD_RESPONSE


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("example.org:8000/f", "http://example.org:8000/f"),
        ("example.org:443/f", "https://example.org:443/f"),
        ("[::1]:443", "https://[::1]:443"),
        ("[fe80::1%25eth0]:80/f", "http://[fe80::1%25eth0]:80/f"),
        ("example.org/f", "example.org/f"),
    ],
)
def test_without_a_scheme(named: str, meant: str) -> None:
    assert with_scheme(named) == meant


def test_a_scheme_that_was_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("example.org/f.bin", "localhost/d/f", "10.0.0.1/f"):
        with pytest.raises(UsageError, match="write https://"):
            check_scheme(text)
    (tmp_path / "example.org").mkdir()
    for text in ("example.org/f.bin", "./localhost/f", "dir/f.json", "file.json", "/x.y/f"):
        check_scheme(text)


def test_no_numbers_of_errors(options: TransportOptions) -> None:
    connection = HttpConnection(options)
    for url in ("http://nowhere.invalid/f", "http://127.0.0.1:1/f"):
        with pytest.raises(RequestFailed) as caught:
            connection.fetch(url, 100)
        assert "Errno" not in caught.value.what
        assert caught.value.failure is Failure.UNREACHABLE
    connection.close()
