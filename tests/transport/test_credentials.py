"""Tokens go to the host they are for, and to nobody else."""

from __future__ import annotations

import base64
import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from regather.cli.options import tokens_of
from regather.errors import UsageError
from regather.names import split_url
from regather.origins import parse_host
from regather.server.authorization import Tokens
from regather.transport import Credentials, Failure, HttpConnection, RequestFailed, TransportOptions
from regather.transport.cookies import Cookies
from regather.transport.credentials import variable_of
from tests.support.files import random_file
from tests.support.hosting import Hosting
from tests.support.rogue import Rogue, sends

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"


def https(host: str, port: int = 443) -> tuple[str, str, int]:
    return "https", host, port


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("Example.ORG", "example.org", None),
        ("example.org:8443", "example.org", 8443),
        ("127.0.0.1:80", "127.0.0.1", 80),
        ("[::1]:80", "::1", 80),
        ("[::1]", "::1", None),
        ("::1", "::1", None),
        ("bücher.example", "xn--bcher-kva.example", None),
    ],
)
def test_hosts(text: str, host: str, port: int | None) -> None:
    assert parse_host(text) == (host, port)


@pytest.mark.parametrize(
    "text", ["", ":80", "http://a", "a/b", "u:p@a", "a:b", "a:99999", "a b", "a?b", "[::1", "a#b"]
)
def test_what_is_no_host(text: str) -> None:
    with pytest.raises(UsageError, match="HOST"):
        parse_host(text)


def test_a_token_is_for_its_host_alone() -> None:
    credentials = Credentials({"a.example": "one", "a.example:8443": "two", "[::1]": "three"})
    assert credentials.header(https("a.example")) == "Bearer one"
    assert credentials.header(https("A.EXAMPLE", 9)) == "Bearer one"
    assert credentials.header(https("a.example", 8443)) == "Bearer two"
    assert credentials.header(https("::1", 1)) == "Bearer three"
    for other in (
        "b.example",
        "example",
        "x.a.example",
        "a.example.evil",
        "a-example",
        "aaexample",
    ):
        assert credentials.header(https(other)) is None


def test_tokens_that_come_last(tmp_path: Path) -> None:
    (tmp_path / "netrc").write_text("machine d.example login me password netrc\n")
    credentials = Credentials.gather(
        {"a.example": "given"},
        {
            "REGATHER_TOKEN_B_EXAMPLE": "variable",
            "REGATHER_TOKEN": "c.example:1=variable",
            "NETRC": str(tmp_path / "netrc"),
        },
        fallback={f"{name}.example": "last" for name in "abcd"} | {"b.example:7": "last"},
    )
    assert credentials.header(https("a.example")) == "Bearer given"
    assert credentials.header(https("b.example", 7)) == "Bearer variable"
    assert credentials.header(https("c.example", 1)) == "Bearer variable"
    assert credentials.header(https("c.example", 2)) == "Bearer last"
    assert credentials.header(https("d.example")) == "Bearer last"
    with pytest.raises(UsageError, match="non-ASCII") as raised:
        Credentials.gather({}, {}, fallback={"a": "s3cret x"})
    assert "s3cret" not in str(raised.value)


def test_tokens_of_the_environment() -> None:
    credentials = Credentials.gather(
        {"given.example": "given"},
        {
            "REGATHER_TOKEN_A__B_EXAMPLE": "hyphen",
            "REGATHER_TOKEN_A_B_EXAMPLE": "dots",
            "REGATHER_TOKEN_127_0_0_1___9001": "port",
            "REGATHER_TOKEN_GIVEN_EXAMPLE": "not-this-one",
            "REGATHER_TOKEN": "[::1]:80=six c.example=equals==",
            "REGATHER_TOKENS": "unrelated",
        },
    )
    wanted = {
        ("a-b.example", 443): "hyphen",
        ("a.b.example", 443): "dots",
        ("127.0.0.1", 9001): "port",
        ("127.0.0.1", 9002): None,
        ("given.example", 443): "given",
        ("::1", 80): "six",
        ("::1", 81): None,
        ("c.example", 443): "equals==",
        ("other.example", 443): None,
    }
    for (host, port), token in wanted.items():
        assert credentials.header(https(host, port)) == (token and f"Bearer {token}"), host


@pytest.mark.parametrize(
    "environment",
    [
        {"REGATHER_TOKEN": "s3cret"},
        {"REGATHER_TOKEN": "=s3cret"},
        {"REGATHER_TOKEN": "a.example="},
        {"REGATHER_TOKEN": "http://a.example=s3cret"},
        {"REGATHER_TOKEN_A_EXAMPLE": "s3cret with spaces"},
        {"REGATHER_TOKEN_A_EXAMPLE": ""},
    ],
)
def test_an_environment_that_will_not_do(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        Credentials.gather(None, environment)
    assert "s3cret" not in str(caught.value)


def test_no_two_hosts_share_a_variable() -> None:
    hosts = ["a.b.c", "a-b.c", "a.b-c", "a-b-c", "a--b.c", "a.b", "a-b", "abc"]
    names = {variable_of(host, port) for host in hosts for port in (None, 1, 11)}
    assert len(names) == 3 * len(hosts)
    for host in ("a_b.c", "::1", "-a.b", "a-.b", "a..b", ""):
        assert variable_of(host) == ""


def test_tokens_are_never_shown() -> None:
    credentials = Credentials({"a.example": "s3cret"})
    assert "s3cret" not in repr(credentials) + repr(TransportOptions(credentials=credentials))
    with pytest.raises(UsageError) as caught:
        Credentials({"a.example": "s3cret\r\nX: y"})
    assert "s3cret" not in str(caught.value)


def write_netrc(folder: Path, text: str) -> dict[str, str]:
    path = folder / "netrc"
    path.write_text(text)
    return {"NETRC": str(path)}


def test_netrc(tmp_path: Path) -> None:
    environment = write_netrc(
        tmp_path,
        "machine a.example login ann password s3cret\n"
        "machine b.example login only\n"
        "default login anyone password never\n",
    )
    credentials = Credentials.gather({"c.example": "token"}, environment)
    basic = "Basic " + base64.b64encode(b"ann:s3cret").decode()
    assert credentials.header(https("a.example")) == basic
    assert credentials.header(https("c.example")) == "Bearer token"
    for host in ("b.example", "d.example", "default"):
        assert credentials.header(https(host)) is None
    assert Credentials.gather({"a.example": "t"}, environment).header(https("a.example")) == (
        "Bearer t"
    )
    home = tmp_path / "home"
    home.mkdir()
    (home / ".netrc").write_text("machine a.example login ann password s3cret\n")
    assert Credentials.gather(None, {"HOME": str(home)}).header(https("a.example")) == basic
    assert Credentials.gather(None, {}).header(https("a.example")) is None


def test_a_netrc_that_will_not_do(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    environment = write_netrc(tmp_path, "machine a.example login ann password x y s3cret\n")
    credentials = Credentials.gather(None, environment)
    assert credentials.header(https("a.example")) is None
    assert credentials.header(https("b.example")) is None
    assert len(caplog.records) == 1
    assert "line 1" in caplog.text
    assert environment["NETRC"] in caplog.text
    assert "s3cret" not in caplog.text


def test_plain_http_beyond_this_machine(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    environment = write_netrc(tmp_path, "machine b.example login ann password s3cret\n")
    credentials = Credentials.gather({"a.example": "tok3n", "127.0.0.1": "x"}, environment)
    for _ in range(3):
        assert credentials.header(("http", "a.example", 80)) == "Bearer tok3n"
        assert credentials.header(("http", "b.example", 80)) is None
        assert credentials.header(("http", "127.0.0.1", 80)) == "Bearer x"
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "a.example" in caplog.text
    assert "https" in caplog.text
    assert "tok3n" not in caplog.text
    assert "s3cret" not in caplog.text


# -- over real sockets ------------------------------------------------------------------------


def ask(url: str, **tokens: str) -> bytes:
    """Fetch with tokens for ``127.0.0.1``, by port or (``host``) for all ports."""
    by_host = {
        "127.0.0.1" if port == "host" else f"127.0.0.1:{port.removeprefix('port')}": token
        for port, token in tokens.items()
    }
    connection = HttpConnection(TransportOptions(timeout=5, credentials=Credentials(by_host)))
    try:
        return connection.fetch(url, 1000)[0]
    finally:
        connection.close()


def port_of(url: str) -> str:
    return url.rstrip("/").rpartition(":")[2]


@pytest.fixture
def guarded(tmp_path: Path, hosting: Hosting) -> str:
    (tmp_path / "store").mkdir()
    random_file(tmp_path / "store" / "x.dat", 100)
    server = hosting.serve(tmp_path / "store", tokens=Tokens(read="reading", write="writing"))
    return server.url + "x.dat"


def test_our_server_takes_it(guarded: str) -> None:
    assert len(ask(guarded, host="reading")) == 100
    assert len(ask(guarded, **{f"port{port_of(guarded.rpartition('/')[0])}": "writing"})) == 100


def test_an_error_says_what_to_do(guarded: str) -> None:
    with pytest.raises(
        RequestFailed, match=r"a token is required: --token 127.0.0.1=FILE"
    ) as caught:
        ask(guarded)
    assert caught.value.failure is Failure.FORBIDDEN
    with pytest.raises(RequestFailed, match="was not accepted") as caught:
        ask(guarded, host="wr0ng")
    assert "wr0ng" not in str(caught.value)


@pytest.mark.parametrize(
    ("demanded", "told"),
    [
        ("Basic realm=x", "in ~/.netrc: machine 127.0.0.1 login USER password PASSWORD"),
        ('Digest realm="Basic", nonce="1", Basic realm="y"', "required, in ~/.netrc: machine"),
        ('Digest realm="a, Basic b", nonce="1"', "a login by Digest, which is not supported"),
        ("Negotiate, NTLM", "a login by Negotiate or NTLM, which is not supported"),
        ("Digest realm=x, Bearer", "a token is required: --token 127.0.0.1=FILE"),
    ],
)
def test_an_error_says_which_login_is_demanded(demanded: str, told: str) -> None:
    answer = f"HTTP/1.1 401 No\r\nWWW-Authenticate: {demanded}\r\nContent-Length: 0\r\n\r\n"
    with Rogue(sends(answer.encode())) as rogue, pytest.raises(RequestFailed) as caught:
        ask(rogue.url)
    assert told in str(caught.value)
    assert ("--token" in str(caught.value)) == ("--token" in told)


def test_an_error_where_a_login_was_not_accepted() -> None:
    answer = b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=x\r\nContent-Length: 0\r\n\r\n"
    with Rogue(sends(answer)) as rogue, pytest.raises(RequestFailed, match="was not accepted: a"):
        ask(rogue.url, host="x")


@pytest.fixture
def forbidding() -> Iterator[Rogue]:
    with Rogue(sends(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")) as rogue:
        yield rogue


def test_an_error_where_the_token_does_not_suffice(forbidding: Rogue) -> None:
    with pytest.raises(RequestFailed, match="may help: --token"):
        ask(forbidding.url)
    with pytest.raises(RequestFailed, match="does not permit"):
        ask(forbidding.url, host="x")


def redirecting(to: str) -> Rogue:
    head = f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
    return Rogue(sends(head.encode()))


def authorizations(rogue: Rogue) -> list[bytes]:
    return [
        line
        for request in rogue.requests
        for line in request.split(b"\r\n")
        if line.lower().startswith(b"authorization")
    ]


def test_no_token_goes_along_with_a_redirect() -> None:
    """Not to another port, even where the token is for the whole host, nor the second time."""
    with Rogue(sends(OK)) as target, redirecting(target.url) as first:
        credentials = Credentials({"127.0.0.1": "s3cret"})
        options = TransportOptions(timeout=5, credentials=credentials)
        for _ in range(2):  # the second time the redirect is remembered
            connection = HttpConnection(options)
            assert connection.fetch(first.url, 100)[0] == b"hello"
            connection.close()
        assert len(target.requests) == 2
        assert authorizations(target) == []
        assert authorizations(first) == [b"Authorization: Bearer s3cret"]


def test_a_redirect_on_the_same_server_keeps_the_token() -> None:
    def answer(head: bytes, connection: socket.socket) -> None:
        there = b" /there" in head
        connection.sendall(OK if there else b"HTTP/1.1 302 x\r\nLocation: /there\r\n\r\n")

    with Rogue(answer) as rogue:
        assert ask(rogue.url + "here", host="s3cret") == b"hello"
        assert authorizations(rogue) == [b"Authorization: Bearer s3cret"] * 2


def test_a_redirected_request_that_is_refused(forbidding: Rogue) -> None:
    with (
        redirecting(forbidding.url) as first,
        pytest.raises(RequestFailed, match="tokens are not sent after a redirect"),
    ):
        ask(first.url, host="s3cret")


@pytest.mark.parametrize("login", ["user:s3cret@", "s3cret@", "@"])
def test_the_password_of_a_redirect_is_not_sent(login: str) -> None:
    with (
        Rogue(sends(OK)) as target,
        redirecting(target.url.replace("//", f"//{login}")) as first,
    ):
        assert ask(first.url) == b"hello"
        assert authorizations(target) == []


@pytest.mark.parametrize("rest", ["?by=a@localhost", "/f?by=a@localhost", "#a@localhost", "/a@b/f"])
def test_an_at_sign_behind_the_host_of_a_redirect_ends_no_login(rest: str) -> None:
    """Else the sender of a link could lead to a host of its own choice."""
    with (
        Rogue(sends(OK)) as target,
        redirecting(target.url.rstrip("/") + rest) as first,
    ):
        assert ask(first.url) == b"hello"
        assert len(target.requests) == 1


def test_what_is_a_secret_by_mistake_is_not_shown(tmp_path: Path) -> None:
    secret = "s3cr3t/T0ken=="
    for text in (f"h={secret}", f"sk-{secret}", f"{secret}=x", f"h:{secret}", f"h={secret * 99}"):
        with pytest.raises(UsageError) as caught:
            tokens_of([text])
        assert "s3cr3t" not in str(caught.value)
    for text in (secret, f"h/{secret}", f"h:{secret}", f"{secret}=h"):
        with pytest.raises(UsageError) as caught:
            Credentials.gather(None, {"REGATHER_TOKEN": text})
        assert "s3cr3t" not in str(caught.value)
    with pytest.raises(UsageError) as caught:
        Cookies(f"session={secret}")
    assert "s3cr3t" not in str(caught.value)
    with pytest.raises(UsageError, match=str(tmp_path)):  # what is there is shown
        tokens_of([f"h={tmp_path}"])


@pytest.mark.parametrize(
    "url",
    [
        "http://u:s3cr3t@h:x/",
        "http://u:s3cr3t/x@h/",
        "http://h:s3cr3t/f",
        "http://[u:s3cr3t@h/f",
        "http://u:s3cr3t@h:0/",
        "http://h:99999/f?s3cr3t",
        "http://u:s3cr3t@a\u2100b/",
        "http://h..h/f?sig=s3cr3t",
        "gopher://u:s3cr3t@h/f",
        "http:///f?s3cr3t",
    ],
)
def test_secrets_in_urls_are_not_shown(url: str) -> None:
    with pytest.raises(ValueError, match=r"URL|http") as caught:
        split_url(url)
    assert "s3cr3t" not in str(caught.value)
