"""What strangers send costs in proportion to its length, in steps and not by the clock."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from regather.metalink.headers import digests, links, offered_name
from regather.transport.cookies import Cookies
from regather.transport.fields import head_fields
from regather.transport.head import ChunkedBody, Head, parse_head
from tests.support.steps import assert_linear

OK = b"HTTP/1.1 200 OK\r\n"


def whole(lines: bytes) -> bytes:
    return OK + lines + b"\r\n\r\n"


def chunks(data: bytes) -> None:
    body = ChunkedBody(data)
    while body.read(lambda: b""):
        pass


def header(name: str, value: str) -> dict[str, str]:
    return {name: value}


def learned(line: str, times: int = 1) -> str | None:
    jar = Cookies()
    for _ in range(times):
        jar.learn("http://a.example/", [line])
    return jar.header("http://a.example/")


CASES: dict[str, Callable[[int], object]] = {
    "lines": lambda n: parse_head(whole(b"a: b\r\n" * n)),
    "different lines": lambda n: parse_head(whole(b"".join(b"a%d: b\r\n" % i for i in range(n)))),
    "lines that are none": lambda n: parse_head(whole(b"a\r\n" * n)),
    "folded lines": lambda n: parse_head(whole(b"a:\r\n" + b" b\r\n" * n)),
    "set-cookie": lambda n: parse_head(whole(b"set-cookie: a=b\r\n" * n)),
    "bare line feeds": lambda n: head_fields(whole(b"\n" * n)),
    "returns": lambda n: head_fields(whole(b"a: " + b"\r" * n)),
    "digest": lambda n: digests(header("digest", "sha-256=AAAA," * n), "x"),
    "digest, blanks": lambda n: digests(header("digest", "a" + " " * n), "x"),
    "digest, digits": lambda n: digests(header("digest", "a=" + "A" * n + "!"), "x"),
    "link": lambda n: links(header("link", "<a>;rel=duplicate," * n), "http://h/"),
    "link, one": lambda n: links(header("link", "<a>" + ";rel=duplicate" * n), "http://h/"),
    "link, open": lambda n: links(header("link", "<a" * n), "http://h/"),
    "link, quotes": lambda n: links(header("link", '<a>;b="\\"' * n), "http://h/"),
    "link, half quotes": lambda n: links(header("link", '"\\' * n), "http://h/"),
    "link, blanks": lambda n: links(header("link", "<a>;" + " " * n + "="), "http://h/"),
    "link, equals": lambda n: links(header("link", "<a>;" + "=" * n), "http://h/"),
    "link, commas": lambda n: links(header("link", "," * n), "http://h/"),
    "name, quotes": lambda n: offered_name(header("content-disposition", '"\\"' * n)),
    "name, parts": lambda n: offered_name(header("content-disposition", "a=b;" * n)),
    "name, words": lambda n: offered_name(header("content-disposition", "filename==?utf-8?q?" * n)),
    "name, percents": lambda n: offered_name(
        header("content-disposition", "filename*=utf-8''" + "%41" * n)
    ),
    "name, slashes": lambda n: offered_name(header("content-disposition", "filename=" + "/" * n)),
    "cookie": lambda n: learned("a=b" + ";path=/" * n),
    "cookie, blanks": lambda n: learned("a=b;" + " " * n),
    "cookies": lambda n: learned("a=b; domain=" + "a." * 9, n),
    "retry-after": lambda n: Head(503, header("retry-after", "9" * n), True).retry_after,
    "retry-after, words": lambda n: Head(503, header("retry-after", "Fri, " * n), True).retry_after,
    "chunks": lambda n: chunks(b"1\r\na\r\n" * n + b"0\r\n\r\n"),
    "trailers": lambda n: chunks(b"0\r\n" + b"a: b\r\n" * n + b"\r\n"),
}  # fmt: skip


def test_separators_of_links_are_passed_once() -> None:
    # What is slow is within one step. If each comma looked at the rest, this took half an hour.
    assert not links(header("link", "," * (1 << 20)), "http://h/").duplicates


@pytest.mark.parametrize("case", CASES)
def test_lines_of_python(case: str) -> None:
    assert_linear(CASES[case], 1000)
