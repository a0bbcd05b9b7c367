"""Redirects: how far, with what, and that nothing secret of them is ever shown."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from regather.transport import (
    Failure,
    HostOptions,
    HttpConnection,
    RequestFailed,
    TransportOptions,
)
from regather.transport.host_options import Hosts
from tests.support.rogue import Answer, Rogue

SECRET = "X-Amz-Signature=5e5ec7e7"


@pytest.fixture(params=["sockets", "libcurl"])
def options(request: pytest.FixtureRequest) -> TransportOptions:
    return TransportOptions(connect_timeout=5, timeout=5, http2=request.param == "libcurl")


def fetched(url: str, options: TransportOptions) -> bytes:
    connection = HttpConnection(options)
    try:
        return connection.fetch(url, 1000)[0]
    finally:
        connection.close()


def refused(url: str, options: TransportOptions) -> RequestFailed:
    with pytest.raises(RequestFailed) as caught:
        fetched(url, options)
    return caught.value


def answers(answer: Callable[[bytes], bytes]) -> Answer:
    """Sends what ``answer`` makes of the target of a request."""

    def serve(head: bytes, connection: socket.socket) -> None:
        connection.sendall(answer(head.split(b" ")[1]))

    return serve


def body(content: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(content), content)


def to(location: bytes, *lines: bytes, status: int = 302) -> bytes:
    more = b"".join(b"\r\n" + line for line in lines)
    return b"HTTP/1.1 %d Found\r\nContent-Length: 0\r\nLocation: %b%b\r\n\r\n" % (
        status,
        location,
        more,
    )


@pytest.mark.parametrize(
    ("named", "asked"),
    [
        ("a/../b", b"/b"),
        ("./b", b"/b"),
        ("../../b", b"/b"),
        ("a/./../x//..//b/.", b"/x//b/"),
        ("a/..", b"/"),
        ("...", b"/..."),
        (".b/b.", b"/.b/b."),
    ],
)
def test_dots_in_a_path(options: TransportOptions, named: str, asked: bytes) -> None:
    """As every client asks (RFC 3986, 5.2.4 and 6.2.2.3), in addresses and in redirects."""
    with Rogue(answers(body)) as rogue:
        assert fetched(rogue.url + named, options) == asked
    with Rogue(
        answers(lambda t: body(t) if t != b"/f" else to(rogue.url.encode() + named.encode()))
    ) as rogue:
        assert fetched(rogue.url + "f", options) == asked


MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(("count", "fine"), [(6, True), (20, True), (21, False)])
def test_how_many(options: TransportOptions, count: int, fine: bool) -> None:
    def answer(target: bytes) -> bytes:
        left = int(target[1:])
        return to(b"/%d" % (left - 1)) if left else body(b"here")

    with Rogue(answers(answer)) as rogue:
        if fine:
            assert fetched(f"{rogue.url}{count}", options) == b"here"
        else:
            assert "more than 20 redirects" in refused(f"{rogue.url}{count}", options).what


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_every_kind(options: TransportOptions, status: int) -> None:
    with Rogue(
        answers(lambda t: body(b"here") if t == b"/b" else to(b"b", status=status))
    ) as rogue:
        assert fetched(rogue.url + "a", options) == b"here"


# What is in Location, and what is asked for then, as curl and browsers do; RFC 3986, 5.2 and 2.1.
@pytest.mark.parametrize(
    ("location", "target"),
    [
        (b"/\xc3\xb8/f", b"/%C3%B8/f"),  # UTF-8, as it is
        (b"/\xf8/f", b"/%F8/f"),  # no UTF-8: its bytes
        (b"/a b/f?x=a b", b"/a%20b/f?x=a%20b"),
        (b"/%C3%B8%2F%zz", b"/%C3%B8%2F%zz"),
        (b"/f#part", b"/f"),
        (b"f", b"/d/f"),
        (b"../f", b"/f"),
        (b"../../f", b"/f"),
        (b"./e/../f", b"/d/f"),
        (b"?x=/../1", b"/d/a?x=/../1"),
        (b"/f?a=1&b=%20+c;d", b"/f?a=1&b=%20+c;d"),
        (b"//HOST/f", b"/f"),
        (b"HTTP://HOST", b"/"),
        (b"/f\tg", b"/fg"),  # WHATWG URL, 4.4: tabs are dropped
    ],
)
def test_where_to(options: TransportOptions, location: bytes, target: bytes) -> None:
    with Rogue(answers(lambda _: b"")) as rogue:
        host = rogue.url.split("/")[2].encode()
        rogue._answer = answers(
            lambda t: (
                body(t) if t != b"/d/a" or not location else to(location.replace(b"HOST", host))
            )
        )
        assert fetched(rogue.url + "d/a", options) == target


def test_a_cookie_that_is_set_on_the_way(options: TransportOptions) -> None:
    def serve(head: bytes, connection: socket.socket) -> None:
        seen = b"cookie: ok=1\r\n" in head.replace(b"Cookie", b"cookie")
        connection.sendall(body(b"in") if seen else to(b"/f", b"Set-Cookie: ok=1; path=/"))

    with Rogue(serve) as rogue:
        assert fetched(rogue.url + "f", options) == b"in"
        assert len(rogue.requests) == 2


def test_a_cookie_beside_one_of_a_header(options: TransportOptions) -> None:
    options = replace(
        options, hosts=Hosts({"127.0.0.1": HostOptions(headers=(("Cookie", "mine=0"),))})
    )
    with Rogue(
        answers(lambda t: body(b"in") if t == b"/g" else to(b"/g", b"Set-Cookie: a=1"))
    ) as rogue:
        assert fetched(rogue.url + "f", options) == b"in"
        assert b": mine=0\r\n" in rogue.requests[0]
        assert b": mine=0; a=1\r\n" in rogue.requests[1]


def test_several_cookies_at_once(options: TransportOptions) -> None:
    lines = (b"Set-Cookie: a=1; expires=Fri, 13 Feb 2125 11:56:27 GMT", b"Set-Cookie: b=2")
    with Rogue(answers(lambda t: body(b"in") if t == b"/g" else to(b"/g", *lines))) as rogue:
        assert fetched(rogue.url + "f", options) == b"in"
        assert b": a=1; b=2\r\n" in rogue.requests[1]


def test_another_mirror_where_the_first_has_it_not(options: TransportOptions) -> None:
    places = iter((b"/gone", b"/also-gone", b"/here"))
    with Rogue(
        answers(
            lambda t: to(next(places)) if t == b"/f" else body(b"in") if t == b"/here" else MISSING
        )
    ) as rogue:
        assert fetched(rogue.url + "f", options) == b"in"
        assert options.redirects == {rogue.url + "f": rogue.url + "here"}


def test_a_remembered_place_that_is_busy_is_not_asked_twice(options: TransportOptions) -> None:
    """Only where its redirector leads elsewhere by now, if but to another signature."""
    busy = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
    with Rogue(answers(lambda t: to(b"/g?1") if t == b"/f" else body(b"in"))) as rogue:
        assert fetched(rogue.url + "f", options) == b"in"
        rogue._answer = answers(lambda t: to(b"/g?1") if t == b"/f" else busy)
        assert refused(rogue.url + "f", options).failure is Failure.BUSY
        assert [head.split(b" ")[1] for head in rogue.requests[2:]] == [b"/g?1", b"/f"]
        rogue._answer = answers(
            lambda t: to(b"/g?2") if t == b"/f" else busy if t == b"/g?1" else body(b"in")
        )
        assert fetched(rogue.url + "f", options) == b"in"


def test_a_redirector_that_knows_no_other_is_not_asked_for_ever(options: TransportOptions) -> None:
    count = iter(range(100))
    for place, most in ((lambda: b"/gone", 3), (lambda: b"/gone%d" % next(count), 8)):
        with Rogue(
            answers(lambda t, p=place: to(p()) if t == b"/f" else MISSING)  # type: ignore[misc]
        ) as rogue:
            assert refused(rogue.url + "f", options).failure is Failure.MISSING
            assert len(rogue.requests) <= most


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 206 Partial\r\nContent-Range: bytes 3-5/9\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: ftp://u:s3cret@x/f?" + SECRET.encode() + b"\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://x:0/f?" + SECRET.encode() + b"\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://u:s3cret@[/?" + SECRET.encode() + b"\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: http://u:s3cret@h/?" + SECRET.encode() + b"\r\n\r\n",
        b"HTTP/1.1 302 Found\r\nLocation: /o?" + SECRET.encode() + b"\r\n\r\n",  # for ever
        b"not HTTP",
        b"",
    ],
)
def test_what_is_secret_of_a_redirect_is_not_shown(
    options: TransportOptions, answer: bytes
) -> None:
    location = b"/o?" + SECRET.encode()
    with Rogue(answers(lambda t: to(location) if t == b"/f" else answer)) as rogue:
        connection = HttpConnection(replace(options, timeout=1))
        url = rogue.url + "f"
        told = []
        for ask in (
            lambda: connection.fetch(url, 1000)[0],
            lambda: connection.probe(url),
            lambda: connection.look(url, 1000).doubt,
            lambda: [where for where, _ in connection.look(url, 1000).heads],
            lambda: connection.request(url, 0, 3, 3, ""),
        ):
            try:
                told.append(str(ask()))
            except RequestFailed as error:
                told.append(str(error))
        connection.close()
    assert not any("5e5ec7e7" in one or "s3cret" in one for one in told)
    assert any(told)
