"""The answers to Range headers beside those of a real nginx: the same, or a reason why not."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from tests.server.process import Serve
from tests.support.nginx import Nginx, needs_nginx

pytestmark = needs_nginx

SEVERAL = "RFC 9110, 14.2: a server may ignore Range; ours ignores several ranges at once"
EMPTY_ELEMENTS = "RFC 9110, 5.6.1.2: a list may have empty elements"
LARGE = "RFC 9110, 14.1.2: a last position beyond the end means the end, however large it is"
SHORT = "nginx takes a header shorter than one range for none; ours treats it as malformed"
EMPTY_FILE = "RFC 9110, 14.2: a server may ignore Range; ours does for every range of an empty file"

SAME = [
    *("bytes=0-0", "bytes=0-9", "bytes=2-5", "bytes=0-", "bytes=5-", "bytes=9-", "bytes=9-9"),
    *("bytes=0-20", "bytes=0-9999", "bytes=-1", "bytes=-3", "bytes=-10", "bytes=-9999"),
    *("bytes=10-", "bytes=10-12", "bytes=99-", "bytes=5-4", "bytes=-0", "bytes=-"),
    *("bytes=a-b", "bytes=1", "bytes=--1", "bytes=+1-2", "bytes=0x1-2", "bytes=1--2", "bytes=5-Z"),
    *("bytes=1-2-3", "bytes=1 2-3", "bytes= 1 - 2 ", "bytes=1 -2", "bytes=1- 2", "Bytes=1-2"),
    *("bytes=,", "bytes=001-002", "bytes=2-5;", "items=0-1", "foo", "bytes 0-1"),
]
DIFFERENT = [
    # file, header, our status, nginx's status, why
    ("ten.dat", "bytes=0-1,3-4", 200, 206, SEVERAL),
    ("ten.dat", "bytes=0-2, 5-", 200, 206, SEVERAL),
    ("ten.dat", "bytes=0-0,99-", 200, 206, SEVERAL),
    ("ten.dat", "bytes=,0-1", 206, 416, EMPTY_ELEMENTS),
    ("ten.dat", "bytes=0-1,", 206, 416, EMPTY_ELEMENTS),
    ("ten.dat", "bytes=0-" + "9" * 40, 206, 416, LARGE),
    ("ten.dat", "bytes=-" + "9" * 40, 206, 416, LARGE),
    ("ten.dat", "bytes=", 416, 200, SHORT),
    ("ten.dat", "bytes", 416, 200, SHORT),
    ("empty.dat", "bytes=0--1", 200, 416, EMPTY_FILE),
]


class Answer(NamedTuple):
    """What tells two answers to a range apart."""

    status: int
    content_range: str | None
    body: bytes


def ask(port: int, name: str, header: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", f"/{name}", headers={"Range": header})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    return Answer(
        response.status,
        response.getheader("Content-Range"),
        b"" if response.status == 416 else body,  # an error's words are each server's own
    )


@pytest.fixture(scope="module")
def ports(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, int]]:
    folder = tmp_path_factory.mktemp("ranges")
    (folder / "ten.dat").write_bytes(b"0123456789")
    (folder / "empty.dat").write_bytes(b"")
    with Serve(folder) as ours, Nginx(folder) as nginx:
        yield ours.port, nginx.port


@pytest.mark.parametrize("header", SAME)
def test_the_same_answer(header: str, ports: tuple[int, int]) -> None:
    ours, nginx = (ask(port, "ten.dat", header) for port in ports)
    assert ours == nginx


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1", "bytes=-0", "foo"])
def test_the_same_answer_of_an_empty_file(header: str, ports: tuple[int, int]) -> None:
    ours, nginx = (ask(port, "empty.dat", header) for port in ports)
    assert ours == nginx


@pytest.mark.parametrize(("name", "header", "ours", "nginx", "why"), DIFFERENT)
def test_another_answer_for_a_reason(
    name: str, header: str, ours: int, nginx: int, why: str, ports: tuple[int, int]
) -> None:
    """Where nginx changes its answer, or we ours, the line in docs/server.md is no longer true."""
    assert [ask(port, name, header).status for port in ports] == [ours, nginx], why
