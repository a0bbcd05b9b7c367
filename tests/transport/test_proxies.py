"""Which proxy is taken when; and downloads through real ones."""

from __future__ import annotations

import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path

import pytest
from msgspec.structs import replace

from regather.errors import UsageError
from regather.transport import (
    Askable,
    Failure,
    RequestFailed,
    TransportOptions,
    open_connection,
)
from regather.transport.objects.clients import check
from regather.transport.objects.store_options import StoreOptions
from regather.transport.proxies import Proxies, parse_proxy
from tests.support.files import random_file
from tests.support.ftp import FtpServer
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE, free_port
from tests.support.proxies import HttpProxy, SocksProxy, SshProxy, in_tls
from tests.support.rogue import Rogue, sends
from tests.support.sftp import SftpServer
from tests.support.tls import issue

SIZE = 300_007
QUICK = TransportOptions(connect_timeout=5, timeout=5)
LOGIN = ("ann", "s3cret")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "hosted"
    made.mkdir()
    random_file(made / "f.dat", SIZE)
    return made


def through(proxy: str, no_proxy: str = "") -> TransportOptions:
    return replace(QUICK, proxies=Proxies.gather(proxy, no_proxy, {}))


def fetched(url: str, options: TransportOptions) -> bytes:
    """An object, by ranges on one connection."""
    connection: Askable = open_connection(url, options)
    try:
        size, _ = connection.probe(url)
        data = bytearray()
        for start in range(0, size, 100_000):
            stop = min(start + 100_000, size)
            assert connection.request(url, start, stop, size)
            buffer = memoryview(bytearray(stop - start))
            have = 0
            while have < len(buffer):
                have += connection.receive(buffer[have:])
            connection.finish()
            data += buffer
        return bytes(data)
    finally:
        connection.close()


def fails(url: str, options: TransportOptions) -> RequestFailed:
    with pytest.raises(RequestFailed) as caught:
        fetched(url, options)
    assert "\n" not in caught.value.what
    assert LOGIN[1] not in caught.value.what
    return caught.value


# -- which one --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("environment", "url", "port"),
    [
        ({}, "http", None),
        ({"http_proxy": "http://p:1"}, "http", 1),
        ({"http_proxy": "http://p:1"}, "https", None),
        ({"http_proxy": "p:1"}, "http", 1),
        ({"http_proxy": "http://p"}, "http", 1080),
        ({"HTTP_PROXY": "http://p:1"}, "http", None),  # as curl has it: CGI programs are fed it
        ({"HTTPS_PROXY": "http://p:1"}, "https", 1),
        ({"https_proxy": "http://p:1", "HTTPS_PROXY": "http://p:2"}, "https", 1),
        ({"https_proxy": "", "HTTPS_PROXY": "http://p:2"}, "https", 2),
        ({"all_proxy": "http://p:1", "http_proxy": "http://p:2"}, "http", 2),
        ({"ALL_PROXY": "socks5h://p:1"}, "https", 1),
        ({"ftp_proxy": "http://p:1"}, "ftp", 1),
        ({"ftp_proxy": "http://p:1"}, "sftp", None),
        ({"all_proxy": "http://p:1"}, "sftp", 1),
        ({"all_proxy": "http://p:1", "no_proxy": "*"}, "http", None),
        ({"all_proxy": "http://p:1", "NO_PROXY": "a.example"}, "http", None),
    ],
)
def test_the_environment(environment: Mapping[str, str], url: str, port: int | None) -> None:
    proxy = Proxies.gather(None, None, environment).of((url, "a.example", 80))
    assert (None if proxy is None else proxy.port) == port


@pytest.mark.parametrize(
    ("no_proxy", "host", "direct"),
    [
        ("a.example", "a.example", True),
        ("a.example", "A.EXAMPLE", True),
        ("a.example", "b.a.example", True),
        (".a.example", "a.example", True),
        ("a.example", "ba.example", False),
        ("example", "a.example", True),
        ("x, a.example", "a.example", True),
        ("x a.example", "a.example", True),
        ("a.example.", "a.example", True),
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.0/8", "127.1.2.3", True),
        ("127.0.0.0/8", "128.0.0.1", False),
        ("localhost", "127.0.0.1", False),
        ("[::1]", "::1", True),
        ("::1", "::1", True),
        ("fe80::/10", "fe80::5", True),
        ("a.example:80", "b.a.example", True),
        ("a.example:81", "a.example", False),
        ("x,127.0.0.1:80", "127.0.0.1", True),
        ("127.0.0.1:81", "127.0.0.1", False),
        ("[::1]:80", "::1", True),
        ("[::1]:81", "::1", False),
        ("*", "a.example", True),
        ("", "127.0.0.1", False),  # this machine too, unless it is named
    ],
)
def test_who_is_reached_without(no_proxy: str, host: str, direct: bool) -> None:
    proxies = Proxies.gather("http://p:1", no_proxy, {})
    assert (proxies.of(("http", host, 80)) is None) == direct


def test_what_is_given_comes_before_the_environment() -> None:
    environment = {"http_proxy": "http://p:1", "no_proxy": "a.example"}
    given = Proxies.gather("http://q:2", "", environment).of(("http", "a.example", 80))
    assert given is not None
    assert given.port == 2
    assert Proxies.gather("", None, environment).of(("http", "b.example", 80)) is None


@pytest.mark.parametrize(
    "text", ["http://", "http://h:x", "http://h:1/path", "gopher://h:1", "http://u:s3cret@", ":1"]
)
def test_what_is_no_proxy(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_proxy(text, "http_proxy")
    assert "http_proxy" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_password_is_not_shown() -> None:
    proxy = parse_proxy("http://ann:s%40cret@h:1", "")
    assert (proxy.user, proxy.password) == ("ann", "s@cret")
    assert "s@cret" not in repr(proxy)


# -- through real ones ------------------------------------------------------------------------


@pytest.mark.parametrize("login", [None, LOGIN])
def test_http_and_https_on_our_own_sockets(
    login: tuple[str, str] | None, folder: Path, tmp_path: Path, hosting: Hosting
) -> None:
    content = (folder / "f.dat").read_bytes()
    files = issue(tmp_path / "tls")
    trusted = ssl.create_default_context(cafile=str(files.authority))
    plain, secure = hosting.serve(folder), hosting.serve(folder, tls=files)
    with HttpProxy(login=login) as proxy:
        options = replace(through(proxy.address), tls=lambda: trusted)
        assert not options.needs_libcurl
        assert fetched(plain.url + "f.dat", options) == content
        assert fetched(secure.url + "f.dat", options) == content
        # libcurl goes the same ways, where it is asked for something else as well.
        other = replace(options, http2=True, cacert=str(files.authority))
        assert fetched(plain.url + "f.dat", other) == content
        assert fetched(secure.url + "f.dat", other) == content
        asked = proxy.asked
    assert any(line.startswith(f"GET {plain.url}f.dat") for line in asked)
    assert any(line.startswith(f"CONNECT 127.0.0.1:{secure.port}") for line in asked)


@pytest.mark.parametrize("tls", [False, True])
def test_a_proxy_that_wants_a_login(
    tls: bool, folder: Path, tmp_path: Path, hosting: Hosting
) -> None:
    server = hosting.serve(folder, tls=issue(tmp_path / "tls") if tls else None)
    with HttpProxy(login=LOGIN) as proxy:
        error = fails(server.url + "f.dat", through(f"http://127.0.0.1:{proxy.port}"))
        assert error.failure is Failure.FORBIDDEN
        assert "the proxy requires a login" in error.what
        wrong = fails(server.url + "f.dat", through(f"http://ann:no@127.0.0.1:{proxy.port}"))
        assert wrong.failure is Failure.FORBIDDEN


def test_a_proxy_that_does_not_connect_through(folder: Path, tmp_path: Path) -> None:
    with HttpProxy(extra="ConnectPort 443\n") as proxy:
        error = fails(f"https://127.0.0.1:{free_port()}/f", through(proxy.address))
        assert error.failure is Failure.FORBIDDEN
    with HttpProxy() as proxy:
        error = fails(f"https://127.0.0.1:{free_port()}/f", through(proxy.address))
        assert error.failure is Failure.UNREACHABLE
        assert f"the proxy 127.0.0.1:{proxy.port} responded with HTTP 50" in error.what


def test_a_proxy_that_is_none() -> None:
    """A server of another protocol greets, and waits."""
    over = threading.Event()

    def greet(head: bytes, connection: socket.socket) -> None:
        connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n")
        over.wait(PATIENCE)

    with Rogue(greet) as rogue:
        error = fails("https://h.example/f", through(rogue.url))
        over.set()
    assert error.failure is Failure.BAD_RESPONSE
    assert str(error).endswith("the response is not HTTP")


def test_no_proxy_there(folder: Path, hosting: Hosting) -> None:
    server = hosting.serve(folder)
    port = free_port()
    for scheme in ("http", "socks5h"):
        error = fails(server.url + "f.dat", through(f"{scheme}://127.0.0.1:{port}"))
        assert error.failure is Failure.UNREACHABLE
        assert error.what.startswith(f"127.0.0.1:{port} (the proxy): ")
        error = fails(server.url + "f.dat", through(f"{scheme}://nowhere.invalid:{port}"))
        assert error.what.startswith(f"nowhere.invalid:{port} (the proxy): unknown host")
    content = (folder / "f.dat").read_bytes()
    direct = through(f"http://127.0.0.1:{port}", "127.0.0.1")
    assert fetched(server.url + "f.dat", direct) == content


@pytest.mark.parametrize("login", [None, LOGIN])
def test_socks(
    login: tuple[str, str] | None, folder: Path, tmp_path: Path, hosting: Hosting
) -> None:
    content = (folder / "f.dat").read_bytes()
    files = issue(tmp_path / "tls")
    plain, secure = hosting.serve(folder), hosting.serve(folder, tls=files)
    with SocksProxy(login=login) as proxy:
        for scheme in ("socks5", "socks5h"):
            options = replace(through(proxy.address(scheme)), cacert=str(files.authority))
            assert options.needs_libcurl == f"a proxy of {scheme}://"
            assert fetched(plain.url + "f.dat", options) == content
            assert fetched(secure.url + "f.dat", options) == content
        ports = [f":{server.port}" for server in (plain, secure)]
        assert all(any(port in line for line in proxy.asked) for port in ports)
        error = fails(plain.url + "none", through(proxy.address()))
        assert (error.failure, error.status) == (Failure.MISSING, 404)
        if login is not None:
            error = fails(plain.url + "f.dat", through(f"socks5://127.0.0.1:{proxy.port}"))
            assert error.failure is Failure.UNREACHABLE
        error = fails(f"http://127.0.0.1:{free_port()}/", through(proxy.address()))
        assert error.failure is Failure.UNREACHABLE


@pytest.mark.parametrize(("scheme", "looks_up"), [("socks4", False), ("socks4a", True)])
def test_socks4(
    scheme: str, looks_up: bool, folder: Path, tmp_path: Path, hosting: Hosting
) -> None:
    """Names are looked up here, or there."""
    content = (folder / "f.dat").read_bytes()
    files = issue(tmp_path / "tls")
    plain, secure = hosting.serve(folder), hosting.serve(folder, tls=files)
    with SftpServer(folder) as server, SshProxy(server) as proxy:
        options = replace(through(proxy.address(scheme)), cacert=str(files.authority))
        assert options.needs_libcurl == f"a proxy of {scheme}://"
        for url in (plain.url, secure.url, f"http://localhost:{plain.port}/"):
            assert fetched(url + "f.dat", options) == content
        error = fails(plain.url + "none", options)
        assert (error.failure, error.status) == (Failure.MISSING, 404)
        error = fails(f"http://127.0.0.1:{free_port()}/", options)
        assert error.failure in (Failure.UNREACHABLE, Failure.RESET, Failure.TRUNCATED)
        # ssh calls both so, and tells them apart by a name that comes along.
        assert all(line.startswith("socks4 ") for line in proxy.asked), proxy.asked
        asked_by_name = any("localhost" in line for line in proxy.asked)
        assert asked_by_name == looks_up


def test_who_is_distrusted_is_the_server_and_not_the_proxy(
    folder: Path, tmp_path: Path, hosting: Hosting
) -> None:
    secure, plain = hosting.serve(folder, tls=issue(tmp_path / "tls")), hosting.serve(folder)
    with HttpProxy() as proxy:
        error = fails(secure.url + "f.dat", through(f"http://127.0.0.1:{proxy.port}"))
        assert error.failure is Failure.FORBIDDEN
        assert error.what.startswith(f"127.0.0.1:{secure.port}: certificate refused")
        error = fails(
            f"https://127.0.0.1:{plain.port}/f.dat", through(f"http://127.0.0.1:{proxy.port}")
        )
        assert error.what == f"127.0.0.1:{plain.port}: does not support TLS: use http://"


def test_literal_addresses_stand_in_brackets_in_errors() -> None:
    port = free_port("::1")
    error = fails(f"http://[::1]:{port}/f.dat", QUICK)
    assert error.what == f"[::1]:{port}: Connection refused"


def test_an_https_proxy(folder: Path, tmp_path: Path, hosting: Hosting) -> None:
    """Name and password go through TLS, and only to a proxy that is trusted."""
    content = (folder / "f.dat").read_bytes()
    files = issue(tmp_path / "tls")
    plain, secure = hosting.serve(folder), hosting.serve(folder, tls=files)
    with HttpProxy(login=LOGIN) as proxy, in_tls(proxy.port, files) as port:
        options = through(f"https://{':'.join(LOGIN)}@127.0.0.1:{port}")
        trusting = replace(options, cacert=str(files.authority))
        for url in (plain.url + "f.dat", secure.url + "f.dat"):
            assert fetched(url, trusting) == content
            error = fails(url, options)
            assert error.failure is Failure.FORBIDDEN
            assert "--cacert" in error.what
        for url in (plain.url + "f.dat", secure.url + "f.dat"):
            stranger = through(f"https://ann:wr0ng@127.0.0.1:{port}")
            error = fails(url, replace(stranger, cacert=str(files.authority)))
            assert error.failure is Failure.FORBIDDEN
        assert fails(plain.url + "none", trusting).status == 404


@pytest.mark.parametrize("kind", ["http", "socks"])
def test_ftp_and_sftp(kind: str, folder: Path) -> None:
    content = (folder / "f.dat").read_bytes()
    with (
        HttpProxy() if kind == "http" else SocksProxy() as proxy,
        FtpServer(folder) as ftp,
        SftpServer(folder) as sftp,
    ):
        address = proxy.address if isinstance(proxy, HttpProxy) else proxy.address()
        assert fetched(ftp.url + "f.dat", through(address)) == content
        options = sftp.reached_by(through(address))
        assert fetched(sftp.url + "f.dat", options) == content
        assert len(proxy.asked) >= 2


# -- object stores ----------------------------------------------------------------------------


def asked_for(proxy: str | None, no_proxy: str, environment: Mapping[str, str]) -> tuple[int, int]:
    """How many requests a proxy and a store have seen when an object was looked for."""
    gone = sends(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n")
    with Rogue(gone) as between, Rogue(gone) as store:
        known = {name: value.format(between.url) for name, value in environment.items()}
        given = StoreOptions({"endpoint": store.url, "skip_signature": "true", "region": "x"})
        options = replace(
            QUICK,
            proxies=Proxies.gather(proxy and proxy.format(between.url), no_proxy, known),
            stores=given,
        )
        connection = open_connection("s3://bucket/f", options)
        with pytest.raises(RequestFailed) as caught:
            connection.probe("s3://bucket/f")
        assert caught.value.failure is Failure.MISSING
        assert LOGIN[1] not in caught.value.what
        return len(between.requests), len(store.requests)


@pytest.mark.parametrize(
    ("proxy", "no_proxy", "environment", "seen"),
    [
        ("{}", "", {}, (1, 0)),
        ("{}", "127.0.0.0/8", {}, (0, 1)),
        ("{}", "[::1] 127.0.0.1", {}, (0, 1)),
        ("", "", {"http_proxy": "{}"}, (0, 1)),
        (None, "", {"http_proxy": "{}"}, (1, 0)),
        (None, "", {"https_proxy": "{}"}, (0, 1)),
    ],
)
def test_stores(
    proxy: str | None,
    no_proxy: str,
    environment: Mapping[str, str],
    seen: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")  # obstore itself must not look there
    assert asked_for(proxy, no_proxy, environment) == seen


def test_stores_and_a_login() -> None:
    with Rogue(sends(b"HTTP/1.1 404 x\r\nContent-Length: 0\r\n\r\n")) as between:
        options = replace(
            through(between.url.replace("//", "//a%20b:c%3Ad@")),
            stores=StoreOptions({"endpoint": "http://127.0.0.1:1", "skip_signature": "true"}),
        )
        with pytest.raises(RequestFailed):
            open_connection("s3://bucket/f", options).probe("s3://bucket/f")
        (head,) = between.requests
        assert b"\r\nProxy-Authorization: Basic " + b64encode(b"a b:c:d") in head


@pytest.mark.parametrize("url", ["s3://bucket/f", "gs://bucket/f", "az://bucket/f"])
def test_stores_know_no_socks(url: str) -> None:
    """Nothing is reached directly instead."""
    options = replace(
        through("socks5h://127.0.0.1:1"),
        stores=StoreOptions({"skip_signature": "true", "az:account_name": "a"}),
    )
    with pytest.raises(UsageError, match="socks5h://"):
        check(url, options)
    with pytest.raises(RequestFailed, match="socks5h://"):
        open_connection(url, options).probe(url)
