"""Whom the client believes: its authority, the right name, and only as long as it is valid."""

from __future__ import annotations

import gc
import select
import socket
import ssl
import struct
import warnings
from pathlib import Path

import pytest

import regather
from regather.errors import TransportError
from regather.server.run import Server
from regather.transport import Failure, HttpConnection, RequestFailed, TransportOptions
from regather.transport.tls import secured
from tests.support.files import random_file
from tests.support.files import regather as run
from tests.support.hosting import Hosting
from tests.support.rogue import Rogue, send_when_it_has_gone, sends
from tests.support.tls import TlsFiles, issue

SIZE = 3_000_000


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with a file split into ``out``."""
    random_file(tmp_path / "file.bin", SIZE)
    regather.split(tmp_path / "file.bin", tmp_path / "out", fragments=3)
    return tmp_path


def host(hosting: Hosting, folder: Path, tls: TlsFiles) -> tuple[Server, str]:
    server = hosting.serve(folder, tls=tls)
    return server, server.url + "file.bin.regather.json"


def test_a_private_authority(made: Path, hosting: Hosting) -> None:
    tls = issue(made / "tls")
    _, url = host(hosting, made / "out", tls)
    result = run("get", url, "-o", made / "copy", "--cacert", tls.authority)
    assert result.returncode == 0, result.stderr
    assert (made / "copy").read_bytes() == (made / "file.bin").read_bytes()


def test_an_authority_that_is_not_trusted(made: Path, hosting: Hosting) -> None:
    _, url = host(hosting, made / "out", issue(made / "tls"))
    other = issue(made / "other")
    for arguments in ((), ("--cacert", other.authority)):
        result = run("get", url, "-o", made / "copy", *arguments)
        assert result.returncode == 4
        assert "certificate refused" in result.stderr
        assert "--cacert" in result.stderr
        assert result.stderr.count("\n") == 1
    assert not (made / "copy").exists()


@pytest.mark.parametrize(
    ("names", "expired", "says"),
    [(("elsewhere.example",), False, "mismatch"), ((), True, "expired")],
)
def test_a_wrong_name_and_an_old_certificate(
    made: Path, hosting: Hosting, names: tuple[str, ...], expired: bool, says: str
) -> None:
    tls = issue(made / "tls", *names, expired=expired)
    _, url = host(hosting, made / "out", tls)
    settings = regather.Settings(cacert=str(tls.authority))
    with pytest.raises(TransportError, match=says):
        regather.download(url, made / "copy", settings=settings)
    assert not (made / "copy").exists()


def test_the_failure_is_lasting(made: Path, hosting: Hosting) -> None:
    server, _ = host(hosting, made / "out", issue(made / "tls"))
    connection = HttpConnection(TransportOptions(tls=ssl.create_default_context))
    with pytest.raises(RequestFailed) as caught:
        connection.probe(server.url)
    assert caught.value.failure is Failure.FORBIDDEN
    assert caught.value.failure.lasting


def test_a_connection_that_was_reset_before_the_handshake_is_closed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
        server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        server.close()  # with a reset
        select.select([client], [], [], 10)
        with pytest.raises(ConnectionResetError) as caught:
            secured(ssl.create_default_context(), client, "localhost")
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of a socket that the collector has to close
            del caught
            gc.collect()
        assert client.fileno() == -1


@pytest.mark.parametrize("kind", ["old", "mutual", "mutual, gone before the request"])
def test_what_a_server_wants_is_told(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old TLS at the handshake; with TLS 1.3, a certificate of ours in place of the answer."""
    if "gone" in kind:
        send_when_it_has_gone(monkeypatch)
    files = issue(tmp_path / "tls")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    if kind == "old":
        context.set_ciphers("ALL:@SECLEVEL=0")
        with warnings.catch_warnings(action="ignore"):
            context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    else:
        context.load_verify_locations(files.authority)
        context.verify_mode = ssl.CERT_REQUIRED
    trusted = ssl.create_default_context(cafile=str(files.authority))
    options = TransportOptions(timeout=5, tls=lambda: trusted)
    with Rogue(sends(b""), tls=context) as rogue:
        connection = HttpConnection(options)
        with pytest.raises(RequestFailed) as caught:
            connection.fetch(rogue.url, 100)
        connection.close()
    assert caught.value.failure.lasting
    told = {"old": "only TLS before 1.2", "mutual": "a client certificate: --cert HOST=FILE"}
    assert told[kind.partition(",")[0]] in str(caught.value)
