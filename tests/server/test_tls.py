"""The same server over TLS, where nothing can be sent past the encryption."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from blake3 import blake3

from regather.server.authorization import Tokens
from regather.server.connections import unsent
from regather.server.run import Server
from regather.server.serving import tls_context
from tests.server.process import HOST, TIMEOUT, Serve, ask, refused
from tests.support.files import random_file
from tests.support.hosting import Hosting
from tests.support.tls import TlsFiles, issue

SIZE = 5_000_003


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> TlsFiles:
    return issue(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    path.mkdir()
    random_file(path / "x.dat", SIZE)
    (path / "empty.dat").write_bytes(b"")
    return path


@contextmanager
def connect(port: int, tls: TlsFiles) -> Iterator[http.client.HTTPSConnection]:
    context = ssl.create_default_context(cafile=str(tls.authority))
    connection = http.client.HTTPSConnection(HOST, port, timeout=TIMEOUT, context=context)
    with closing(connection):
        yield connection


@pytest.fixture
def server(store: Path, tls: TlsFiles, hosting: Hosting) -> Server:
    return hosting.serve(store, tls=tls, tokens=Tokens(write="secret"))


def test_whole_files_and_ranges(server: Server, store: Path, tls: TlsFiles) -> None:
    content = (store / "x.dat").read_bytes()
    assert server.url.startswith("https://127.0.0.1:")
    with connect(server.port, tls) as connection:
        assert ask(connection, "/x.dat").body == content
        assert ask(connection, "/empty.dat").body == b""
        assert ask(connection, "/x.dat", "HEAD").headers["Content-Length"] == str(SIZE)
        for start, stop in ((0, 1), (5, 1 << 18), (7, SIZE), (SIZE - 1, SIZE), (1, 3_000_000)):
            answer = ask(connection, "/x.dat", Range=f"bytes={start}-{stop - 1}")
            assert (answer.status, answer.body) == (206, content[start:stop])


@pytest.mark.parametrize("first", ["HEAD", "GET"])
def test_many_answers_on_one_connection(
    server: Server, store: Path, tls: TlsFiles, first: str
) -> None:
    content = (store / "x.dat").read_bytes()
    with connect(server.port, tls) as connection:
        for number in range(6):
            assert ask(connection, "/x.dat", first).status == 200
            answer = ask(connection, "/x.dat", Range=f"bytes={number}-{number + 100}")
            assert answer.body == content[number : number + 101]


def test_a_slow_reader_gets_all(server: Server, store: Path, tls: TlsFiles) -> None:
    """More than fits into all buffers in between, so that sending must wait."""
    content = random_file(store / "big.dat", 40 << 20, 3).read_bytes()
    with connect(server.port, tls) as connection, connect(server.port, tls) as other:
        connection.request("GET", "/big.dat")
        response = connection.getresponse()
        assert ask(other, "/x.dat", Range="bytes=0-4").status == 206  # others have their turn
        assert response.read() == content


def test_storing(server: Server, store: Path, tls: TlsFiles) -> None:
    body = (store / "x.dat").read_bytes()[::-1]
    with connect(server.port, tls) as connection:
        connection.request(
            "PUT",
            "/y.dat",
            body,
            {"Authorization": "Bearer secret", "Regather-Blake3": blake3(body).hexdigest()},
        )
        assert connection.getresponse().status == 201
    assert (store / "y.dat").read_bytes() == body


@pytest.mark.parametrize("fault", ["reset", "truncate", "corrupt", "slow:20MB"])
def test_faults(fault: str, store: Path, tls: TlsFiles, hosting: Hosting) -> None:
    content = (store / "x.dat").read_bytes()
    server = hosting.serve(store, tls=tls, faults=[fault])
    with connect(server.port, tls) as connection:
        connection.request("GET", "/x.dat")
        response = connection.getresponse()
        if fault in ("reset", "truncate"):
            with pytest.raises((OSError, http.client.IncompleteRead)):
                response.read()
        else:
            assert (response.read() == content) == fault.startswith("slow")


def test_plain_http_at_an_https_port(server: Server, store: Path, tls: TlsFiles) -> None:
    with socket.create_connection((HOST, server.port), timeout=TIMEOUT) as plain:
        plain.sendall(b"GET /x.dat HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            assert not plain.recv(1000).startswith(b"HTTP/")
        except ConnectionResetError:
            pass
    with connect(server.port, tls) as connection:
        assert ask(connection, "/empty.dat").status == 200


def test_the_command(store: Path, tls: TlsFiles) -> None:
    with Serve(store, "--tls-cert", str(tls.certificate), "--tls-key", str(tls.key)) as server:
        assert server.listening["url"] == f"https://127.0.0.1:{server.port}/"
        with connect(server.port, tls) as connection:
            assert ask(connection, "/empty.dat").status == 200
            server.terminate()
            assert server.wait() == 0
        assert server.errors == ""


def test_a_response_over_tls_is_finished_before_the_end(store: Path, tls: TlsFiles) -> None:
    content = random_file(store / "big.dat", 30 << 20, 3).read_bytes()
    arguments = ("--tls-cert", str(tls.certificate), "--tls-key", str(tls.key))
    with Serve(store, *arguments) as server, connect(server.port, tls) as connection:
        connection.request("GET", "/big.dat")
        response = connection.getresponse()
        server.terminate()
        assert response.read() == content
        assert server.wait() == 0


@pytest.mark.parametrize("encrypted", [False, True])
def test_what_waits_to_be_sent_is_counted_to_its_end(tls: TlsFiles, encrypted: bool) -> None:
    """What stop() waits for: a transport that is closed may hold the end of a response."""
    size = 32 << 20  # more than the kernel takes

    async def talk() -> None:
        held: asyncio.Queue[asyncio.BaseTransport] = asyncio.Queue()

        def give(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(bytes(size))
            writer.close()
            held.put_nowait(writer.transport)

        listener = await asyncio.start_server(
            give,
            HOST,
            0,
            ssl=tls_context(str(tls.certificate), str(tls.key)) if encrypted else None,
        )
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            trusted = ssl.create_default_context(cafile=str(tls.authority)) if encrypted else None
            reader, client = await asyncio.open_connection(HOST, port, ssl=trusted)
            transport = await held.get()
            waiting = unsent(transport)
            assert 0 < waiting <= size + (1 << 20)
            await reader.readexactly(size)
            assert unsent(transport) == 0
            client.close()
            await client.wait_closed()  # else its socket is found open when all is over

    asyncio.run(asyncio.wait_for(talk(), TIMEOUT))


def test_files_that_will_not_do(store: Path, tls: TlsFiles, tmp_path: Path) -> None:
    other = issue(tmp_path / "other")

    def fail(*arguments: str | Path) -> str:
        code, told = refused(store, "--port", "0", *arguments)
        assert code == 2
        return told

    assert "both" in fail("--tls-cert", tls.certificate)
    assert "both" in fail("--tls-key", tls.key)
    assert "no such file" in fail("--tls-cert", tmp_path / "none", "--tls-key", tls.key)
    assert "mismatch" in fail("--tls-cert", tls.certificate, "--tls-key", other.key)
    told = fail("--tls-cert", store / "x.dat", "--tls-key", tls.key)
    assert "cannot be used: not PEM, of the wrong kind, or encrypted; give" in told
