"""HTTP by libcurl: what servers and proxies of all kinds make of it."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

import regather
from regather.transport import Failure, HttpConnection, RequestFailed, TransportOptions
from regather.transport.proxies import Proxies
from regather.transport.wire import RequestBody
from tests.support.files import MIB, random_file
from tests.support.hosting import Hosting
from tests.support.nginx import Nginx
from tests.support.proxies import SocksProxy
from tests.support.rogue import Rogue, sends
from tests.support.tls import issue

LIBCURL = TransportOptions(connect_timeout=2, timeout=2, http2=True)


@pytest.fixture
def connection() -> Iterator[HttpConnection]:
    made = HttpConnection(LIBCURL)
    yield made
    made.close()


def test_http2(tmp_path: Path) -> None:
    content = random_file(tmp_path / "f.dat", 3 * MIB + 5).read_bytes()
    log = tmp_path.parent / "access.log"
    files = issue(tmp_path.parent / "tls")
    with Nginx(tmp_path, tls=files, http2=True, access_log=log) as server:
        url = server.url + "f.dat"
        settings = regather.Settings(cacert=str(files.authority), http2=True, sync=False)
        regather.download(url, tmp_path / "got", settings=settings)
        assert (tmp_path / "got").read_bytes() == content
        connection = HttpConnection(replace(LIBCURL, cacert=str(files.authority)))
        # Left early, and the connection goes on.
        for _ in range(3):
            assert connection.request(url, 0, len(content), len(content))
            assert connection.receive(memoryview(bytearray(10))) == 10
            connection.finish()
        with pytest.raises(RequestFailed) as caught:
            connection.request(server.url + "none", 0, 5, 5)
        assert caught.value.failure is Failure.MISSING
        connection.close()
    assert '"GET /f.dat HTTP/2.0" 206' in log.read_text()


def test_where_there_is_no_http2(hosting: Hosting, tmp_path: Path) -> None:
    """It does with what the server speaks, in plain http too."""
    random_file(tmp_path / "f.dat", 100_000)
    server = hosting.serve(tmp_path)
    settings = regather.Settings(http2=True, sync=False)
    regather.download(server.url + "f.dat", tmp_path / "got", settings=settings)
    assert (tmp_path / "got").read_bytes() == (tmp_path / "f.dat").read_bytes()


def test_a_body_in_chunks(connection: HttpConnection) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Rogue(sends(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\nX: trailer\r\n\r\n")) as rogue:
        assert connection.fetch(rogue.url, 100)[0] == b"abcde"


def test_a_body_until_the_end(connection: HttpConnection) -> None:
    with Rogue(sends(b"HTTP/1.0 200 OK\r\n\r\nabcde")) as rogue:
        assert connection.fetch(rogue.url, 100)[0] == b"abcde"


def test_interim_heads(connection: HttpConnection) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    with Rogue(sends(hints + b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")) as rogue:
        assert connection.fetch(rogue.url, 100)[0] == b"hi"


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b"", Failure.TRUNCATED),
        (b"nonsense\r\n\r\n", Failure.BAD_RESPONSE),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", Failure.TRUNCATED),
        (b"HTTP/1.1 200 OK\r\nX: " + b"y" * 280_000 + b"\r\n\r\n", Failure.BAD_RESPONSE),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", Failure.RESET),
        (b"HTTP/1.1 302 x\r\nLocation: file:///etc/passwd\r\n\r\n", Failure.BAD_RESPONSE),
        (b"HTTP/1.1 302 x\r\nLocation: ftp://127.0.0.1/x\r\n\r\n", Failure.BAD_RESPONSE),
        (b"HTTP/1.1 503 x\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", Failure.BUSY),
    ],
)
def test_answers_that_are_none(answer: bytes, failure: Failure, connection: HttpConnection) -> None:
    with Rogue(sends(answer)) as rogue, pytest.raises(RequestFailed) as caught:
        connection.fetch(rogue.url, 100_000)
    assert caught.value.failure is failure
    assert "\n" not in caught.value.what


def test_a_server_that_takes_its_time(connection: HttpConnection) -> None:
    """Longer than the time-out in all, for a body that it does take."""
    size = 32 * MIB  # much more than the buffers of the way hold

    def take(head: bytes, link: socket.socket) -> None:
        link.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        got = 0
        while got < size:
            got += len(link.recv(MIB, socket.MSG_WAITALL))
            time.sleep(0.1)
        link.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    body = RequestBody(size, lambda _, into: None)
    with Rogue(take) as rogue:
        assert connection.submit("PUT", rogue.url, [], body)[0].status == 201


def test_a_head_without_end(connection: HttpConnection) -> None:
    """Drops of it, or interim heads, do not prolong the wait."""
    for drop in (b"X: y\r\n", b"\r\nHTTP/1.1 103 Early Hints\r\n"):
        enough = threading.Event()

        def talk(head: bytes, link: socket.socket, drop: bytes = drop) -> None:
            link.sendall(b"HTTP/1.1 103 Early Hints\r\n")
            while not enough.wait(0.05):  # noqa: B023
                link.sendall(drop)

        with Rogue(talk) as rogue:
            rescue = threading.Timer(20, connection.abort)
            rescue.start()
            with pytest.raises(RequestFailed) as caught:
                connection.fetch(rogue.url, 100)
            rescue.cancel()
            enough.set()
        assert caught.value.failure is Failure.TIMEOUT


def test_publishing_through_socks(hosting: Hosting, tmp_path: Path) -> None:
    from regather.server.authorization import Tokens

    content = random_file(tmp_path / "f.dat", 3 * MIB + 5).read_bytes()
    (tmp_path / "store").mkdir()
    server = hosting.serve(tmp_path / "store", tokens=Tokens(write="word"))
    with SocksProxy() as proxy:
        settings = regather.Settings(
            proxy=proxy.address(), tokens={"127.0.0.1": "word"}, sync=False
        )
        regather.publish(tmp_path / "f.dat", [server.url], settings=settings)
        regather.download(server.url + "f.dat.regather.json", tmp_path / "got", settings=settings)
        assert f"127.0.0.1:{server.port}" in "".join(proxy.asked)
    assert (tmp_path / "got").read_bytes() == content


def test_libcurl_is_missing(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pycurl'] = None; from regather.cli import main; sys.exit(main())"
    )
    for option, says in (
        (["--proxy", "socks5h://127.0.0.1:1"], "a proxy of socks5h:// needs libcurl"),
        (["--http2"], "HTTP/2 needs libcurl"),
    ):
        told = subprocess.run(
            [sys.executable, "-c", code, "get", "http://127.0.0.1:1/f", *option],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            cwd=tmp_path,
        )
        assert (told.returncode, told.stderr.count("\n")) == (2, 1)
        assert says in told.stderr
        assert "pip install 'pycurl" in told.stderr


def test_no_proxy_of_libcurls_own(monkeypatch: pytest.MonkeyPatch, hosting: Hosting) -> None:
    """It reads the environment itself where it is let."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    with Rogue(sends(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")) as rogue:
        made = HttpConnection(replace(LIBCURL, proxies=Proxies()))
        assert made.fetch(rogue.url, 100)[0] == b"hi"
        made.close()
