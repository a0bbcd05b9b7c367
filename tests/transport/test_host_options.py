"""What is set for one host goes there and nowhere else: headers, cookies, certificates."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
from msgspec.structs import replace

from regather.errors import UsageError
from regather.transport import (
    Credentials,
    Failure,
    HostOptions,
    HttpConnection,
    RequestFailed,
    TransportOptions,
)
from regather.transport.cookies import Cookies
from regather.transport.host_options import Hosts
from regather.transport.tls import context_with
from tests.support.files import random_file
from tests.support.files import regather as run
from tests.support.nginx import Nginx
from tests.support.rogue import Rogue, sends
from tests.support.tls import TlsFiles, issue

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
QUICK = TransportOptions(connect_timeout=5, timeout=5)


@pytest.fixture(params=["sockets", "libcurl"])
def options(request: pytest.FixtureRequest) -> TransportOptions:
    """Both ways of speaking HTTP: what is the user's own must be safe on either."""
    return replace(QUICK, http2=request.param == "libcurl")


def fetched(url: str, options: TransportOptions) -> bytes:
    connection = HttpConnection(options)
    try:
        return connection.fetch(url, 1000)[0]
    finally:
        connection.close()


def sent(rogue: Rogue, name: str) -> list[str]:
    """The values of a header, of all requests."""
    pairs = (
        line.decode().partition(": ") for head in rogue.requests for line in head.split(b"\r\n")
    )
    return [value for key, _, value in pairs if key.lower() == name.lower()]


# -- headers ----------------------------------------------------------------------------------


def with_headers(options: TransportOptions, **hosts: HostOptions) -> TransportOptions:
    return replace(options, hosts=Hosts({h.replace("_", ":"): o for h, o in hosts.items()}))


def test_a_header_for_a_host(options: TransportOptions) -> None:
    with Rogue(sends(OK)) as rogue, Rogue(sends(OK)) as other:
        port = rogue.url.split(":")[2].rstrip("/")
        own = HostOptions(headers=(("X-Key", "1"), ("User-Agent", "me")))
        options = replace(options, hosts=Hosts({f"127.0.0.1:{port}": own}))
        assert fetched(rogue.url, options) == b"hello"
        assert fetched(other.url, options) == b"hello"
        assert (sent(rogue, "x-key"), sent(rogue, "user-agent")) == (["1"], ["me"])
        assert sent(other, "x-key") == []
        assert sent(rogue, "accept") == sent(other, "accept") == ["*/*"]


def test_none_goes_along_with_a_redirect(options: TransportOptions) -> None:
    """Not to another port, even where it is for the whole host, nor the second time."""
    with Rogue(sends(OK)) as target:
        head = f"HTTP/1.1 302 x\r\nLocation: {target.url}\r\nContent-Length: 0\r\n\r\n"
        with Rogue(sends(head.encode())) as first:
            own = HostOptions(headers=(("X-Key", "1"), ("Authorization", "Basic abc")))
            options = replace(options, hosts=Hosts({"127.0.0.1": own}))
            for _ in range(2):
                assert fetched(first.url, options) == b"hello"
            assert sent(first, "x-key") == ["1"]
            assert len(target.requests) == 2
            assert sent(target, "x-key") == sent(target, "authorization") == []


def test_one_for_a_port_comes_before_one_for_the_host() -> None:
    hosts = Hosts(
        {
            "h.example": HostOptions(headers=(("A", "1"), ("B", "2")), user="x"),
            "h.example:8080": HostOptions(headers=(("b", "3"),), ssh_key="k"),
        }
    )
    assert hosts.of("h.example", 80).headers == (("A", "1"), ("B", "2"))
    both = hosts.of("H.example", 8080)
    assert both.headers == (("A", "1"), ("b", "3"))
    assert (both.user, both.ssh_key) == ("x", "k")
    assert hosts.of("i.example", 80) == HostOptions()


def test_a_header_in_the_place_of_a_token(options: TransportOptions) -> None:
    with Rogue(sends(OK)) as rogue:
        own = HostOptions(headers=(("authorization", "Basic abc"),))
        options = replace(
            options,
            hosts=Hosts({"127.0.0.1": own}),
            credentials=Credentials({"127.0.0.1": "token"}),
        )
        fetched(rogue.url, options)
        assert sent(rogue, "authorization") == ["Basic abc"]


def test_values_beyond_ascii(options: TransportOptions, tmp_path: Path) -> None:
    """A header is sent as Latin-1, a cookie as the bytes that stand in its file."""
    jar = tmp_path / "cookies.txt"
    jar.write_text("# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tc\t€\n", "utf-8")
    own = HostOptions(headers=(("X-Key", "é"),))
    options = replace(options, hosts=Hosts({"127.0.0.1": own}), cookies=Cookies(str(jar)))
    with Rogue(sends(OK)) as rogue:
        assert fetched(rogue.url, options) == b"hello"
        assert b"\r\nX-Key: \xe9\r\n" in rogue.requests[0]
        assert "\r\nCookie: c=€\r\n".encode() in rogue.requests[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Host", "x"),
        ("range", "bytes=0-1"),
        ("Content-Length", "5"),
        ("Transfer-Encoding", "chunked"),
        ("Connection", "close"),
        ("If-Range", "x"),
        ("Proxy-Authorization", "x"),
        ("Accept-Encoding", "gzip"),
        ("X Y", "1"),
        ("", "1"),
        ("X", ""),
        ("X", "1\r\nHost: x"),
        ("X", "1\x00"),
        ("X", "y" * 9000),
    ],
)
def test_headers_that_cannot_be_set(name: str, value: str) -> None:
    with pytest.raises(UsageError):
        HostOptions(headers=((name, value),))


def test_a_warning_where_all_can_read_them(caplog: pytest.LogCaptureFixture) -> None:
    hosts = Hosts({"a.example": HostOptions(headers=(("X", "s3cret"),))})
    credentials = Credentials()
    with caplog.at_level(logging.WARNING):
        for scheme in ("https", "http", "http"):
            hosts.headers((scheme, "a.example", 80), credentials.warn)
    assert len(caplog.records) == 1
    assert "s3cret" not in caplog.text + repr(hosts.all())


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("X-Key: 1", "needs HOST=NAME: VALUE"),
        ("X-Key: s3cret=1", "needs HOST=NAME: VALUE"),
        ("h=s3cret", "write it as NAME: VALUE"),
        ("h=Host: x", "the header Host cannot be set"),
        ("h=@/none", "not usable as --header"),
    ],
)
def test_by_the_command_line(text: str, says: str, tmp_path: Path) -> None:
    told = run("get", "http://127.0.0.1:1/f", "-o", tmp_path / "x", "--header", text)
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert says in told.stderr
    assert "s3cret" not in told.stderr


def test_headers_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "headers").write_text("X-Key: a: b\n\nX-Other:c\n")
    with Rogue(sends(OK)) as rogue:
        told = run(
            *("get", rogue.url + "f", "-o", tmp_path / "got"),
            *("--header", f"127.0.0.1=@{tmp_path / 'headers'}"),
        )
        assert told.returncode == 0, told.stderr
        assert set(sent(rogue, "x-key")) == {"a: b"}
        assert set(sent(rogue, "x-other")) == {"c"}


def test_a_header_for_the_only_host(tmp_path: Path) -> None:
    """-H as curl has it, and refused where it is not clear who is meant."""
    (tmp_path / "headers").write_text("X-Other: c\n")
    (tmp_path / "local").write_bytes(b"hello")
    with Rogue(sends(OK)) as rogue, Rogue(sends(OK)) as other:
        words = ("-H", "X-Key: s3cret", "-H", f"@{tmp_path / 'headers'}")
        one, two, local = rogue.url + "f", other.url + "f", tmp_path / "local"
        for sources, named in (
            ((one, two), "names 127.0.0.1:"),
            ((local,), "names no host"),
            (("-i", tmp_path / "headers"), "names no host"),
            ((one, "--server", two), "names 127.0.0.1:"),
        ):
            told = run("get", *sources, "-o", tmp_path / "got", *words)
            assert (told.returncode, told.stderr.count("\n")) == (2, 1)
            assert named in told.stderr
            assert "--header 'HOST=NAME: VALUE'" in told.stderr
            assert "s3cret" not in told.stderr
        assert (rogue.requests, other.requests) == ([], [])
        told = run("get", one, "-o", tmp_path / "got", *words)
        assert told.returncode == 0, told.stderr
        assert set(sent(rogue, "x-key")) == {"s3cret"}
        assert set(sent(rogue, "x-other")) == {"c"}


# -- cookies ----------------------------------------------------------------------------------


def cookies(tmp_path: Path, *lines: str) -> Cookies:
    path = tmp_path / "cookies.txt"
    path.write_text("\n".join(["# Netscape HTTP Cookie File", *lines, ""]))
    return Cookies(str(path))


def test_cookies_go_where_they_say(tmp_path: Path) -> None:
    jar = cookies(
        tmp_path,
        "a.example\tFALSE\t/\tFALSE\t0\tone\t1",
        ".b.example\tTRUE\t/\tFALSE\t4000000000\ttwo\t2",
        "a.example\tFALSE\t/deep\tFALSE\t0\tthree\t3",
        "a.example\tFALSE\t/\tTRUE\t0\tsecure\t4",
        "a.example\tFALSE\t/\tFALSE\t1\tstale\t5",
        "localhost\tFALSE\t/\tFALSE\t0\tnear\t7",
        "#HttpOnly_a.example\tFALSE\t/only\tFALSE\t0\tsix\t6",
        "d.example\tTRUE\t/\tFALSE\t0\teight\t8\r",  # as wget writes it
        "127.0.0.1\tTRUE\t/\tFALSE\t0\tnine\t9",
    )
    assert jar.header("http://d.example/f") == jar.header("http://x.d.example/f") == "eight=8"
    assert jar.header("http://127.0.0.1/f") == "nine=9"
    assert jar.header("http://a.example/f") == "one=1"
    assert jar.header("https://a.example/f") == "one=1; secure=4"
    assert jar.header("http://a.example/deep/f") == "three=3; one=1"
    assert jar.header("http://a.example/only/f") == "six=6; one=1"
    assert jar.header("http://x.b.example/f") == "two=2"
    assert jar.header("http://x.a.example/f") is None
    assert jar.header("http://c.example/f") is None
    assert jar.header("http://localhost:8000/f") == "near=7"


def test_cookies_are_sent(options: TransportOptions, tmp_path: Path) -> None:
    jar = cookies(tmp_path, "127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tabc")
    with Rogue(sends(OK)) as rogue:
        fetched(rogue.url + "f", replace(options, cookies=jar))
        assert sent(rogue, "cookie") == ["session=abc"]


HEAD = b"# Netscape HTTP Cookie File\n"


@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"a\tb\n",
        b"\xff\xfe",
        b"# Netscape\ns3cret\tx",
        HEAD + b"s3cret\tx",
        HEAD + b"a.b\tTRUE\t/\tTRUE\tx\tn\ts3cret",
    ],
)
def test_no_file_of_cookies(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "cookies.txt"
    if content is not None:
        path.write_bytes(content)
    told = run("get", "http://127.0.0.1:1/f", "-o", tmp_path / "x", "--cookies", path)
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert str(path) in told.stderr
    assert "s3cret" not in told.stderr


# -- client certificates ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Nginx, TlsFiles, Path]]:
    """An nginx that wants a certificate, the files to believe it, and a folder with ours."""
    folder = tmp_path_factory.mktemp("mutual")
    (folder / "hosted").mkdir()
    random_file(folder / "hosted" / "f.dat", 1000)
    files = issue(folder / "tls")
    authority = trustme.CA()
    ours = authority.issue_cert("client@a.example")
    authority.cert_pem.write_to_path(str(folder / "clients.pem"))
    ours.private_key_pem.write_to_path(str(folder / "key.pem"))
    ours.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    ours.private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
    extra = f'ssl_client_certificate "{folder}/clients.pem"; ssl_verify_client on;'
    with Nginx(folder / "hosted", tls=files, extra=extra) as server:
        yield server, files, folder


@pytest.mark.parametrize("key", ["key.pem", ""])
def test_a_client_certificate(
    key: str, mutual: tuple[Nginx, TlsFiles, Path], options: TransportOptions
) -> None:
    server, files, folder = mutual
    own = HostOptions(
        cert=str(folder / ("cert.pem" if key else "both.pem")), key=str(folder / key) if key else ""
    )
    trusted = ssl.create_default_context(cafile=str(files.authority))
    options = replace(options, cacert=str(files.authority), tls=lambda: trusted)
    shown = replace(options, hosts=Hosts({f"127.0.0.1:{server.port}": own}))
    content = (folder / "hosted" / "f.dat").read_bytes()
    assert fetched(server.url + "f.dat", shown) == content
    elsewhere = replace(options, hosts=Hosts({f"127.0.0.1:{server.port + 1}": own}))
    with pytest.raises(RequestFailed) as caught:
        fetched(server.url + "f.dat", elsewhere)
    assert caught.value.failure is Failure.BAD_RESPONSE
    assert caught.value.status == 400


def test_a_download_with_one(mutual: tuple[Nginx, TlsFiles, Path], tmp_path: Path) -> None:
    server, files, folder = mutual
    host = f"127.0.0.1:{server.port}"
    told = run(
        *("get", server.url + "f.dat", "-o", tmp_path / "got", "--cacert", files.authority),
        *("--cert", f"{host}={folder / 'cert.pem'}", "--key-file", f"{host}={folder / 'key.pem'}"),
    )
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "got").read_bytes() == (folder / "hosted" / "f.dat").read_bytes()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--cert", "h=/none"], "not usable as certificate"),
        (["--cert", "h={0}/cert.pem"], "not usable as --cert"),
        (
            ["--cert", "h={0}/key.pem"],
            "--cert (not PEM, of the wrong kind, or",
        ),
        (["--cacert", "/none"], "/none: not usable as --cacert (no such file or directory); give"),
        (["--cacert", "{0}/key.pem"], "as --cacert (no certificate or crl found); give a PEM file"),
        (["--key-file", "h={0}/key.pem"], "a key without a certificate"),
        (["--cert", "{0}/cert.pem"], "--cert needs HOST=FILE"),
    ],
)
def test_certificates_that_are_none(
    options: list[str], says: str, mutual: tuple[Nginx, TlsFiles, Path], tmp_path: Path
) -> None:
    given = [one.format(mutual[2]) for one in options]
    told = run("get", "https://127.0.0.1:1/f", "-o", tmp_path / "x", *given)
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert says in told.stderr


def test_an_encrypted_key_is_not_asked_for(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"word"),
    )
    files = issue(tmp_path / "tls")
    (tmp_path / "key.pem").write_bytes(key)
    with pytest.raises(UsageError, match="is encrypted"):
        context_with(str(files.certificate), str(tmp_path / "key.pem"), "")
