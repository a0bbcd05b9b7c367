"""The answers to Range headers beside those of a real nginx: the same, or a reason why not."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.server.process import Serve
from tests.support.nginx import Nginx, needs_nginx

pytestmark = needs_nginx

MALFORMED = (
    "RFC 9110, 14.2: a malformed Range may be ignored or rejected. Object stores and Apache ignore "
    "it, RFC 2616 demanded it, and every client must expect 200: it gets what it asked for, or more"
)
EMPTY_ELEMENTS = "RFC 9110, 5.6.1.2: a list may have empty elements"
LARGE = "RFC 9110, 14.1.2: a last position beyond the end means the end, however large it is"
MERGED = "RFC 9110, 15.3.7.2: ranges that overlap or touch may be merged; nginx sends bytes twice"
TOO_MUCH = "RFC 9110, 15.3.7.2: the same; nginx sends all where the ranges add up to more than all"

SAME = [
    *("bytes=0-0", "bytes=0-9", "bytes=2-5", "bytes=0-", "bytes=5-", "bytes=9-", "bytes=9-9"),
    *("bytes=0-20", "bytes=0-9999", "bytes=-1", "bytes=-3", "bytes=-10", "bytes=-9999"),
    *("bytes=10-", "bytes=10-12", "bytes=99-", "bytes=-0", "bytes=10-,99-", "bytes= 1 - 2 "),
    *("bytes=1 -2", "bytes=1- 2", "Bytes=1-2", "bytes=001-002", "items=0-1", "foo", "bytes 0-1"),
    *("bytes=", "bytes", "bytes=0-1,3-4", "bytes=0-2, 5-", "bytes=5-6,0-1", "bytes=0-0,-1"),
    *("bytes=0-0,99-", "bytes=99-,3-3", "bytes=0-0,2-2,4-4,6-6"),
]
DIFFERENT = [
    # header, our status, nginx's status, why
    ("bytes=,0-1", 206, 416, EMPTY_ELEMENTS),
    ("bytes=0-1,", 206, 416, EMPTY_ELEMENTS),
    ("bytes=0-" + "9" * 40, 206, 416, LARGE),
    ("bytes=-" + "9" * 40, 206, 416, LARGE),
    ("bytes=0-1,2-3", 206, 206, MERGED),
    ("bytes=0-3,2-5", 206, 206, MERGED),
    ("bytes=0-9,0-9,1-2", 206, 200, TOO_MUCH),
    ("bytes=5-4", 200, 416, MALFORMED),
    *((f"bytes={text}", 200, 416, MALFORMED) for text in ("-", "a-b", "1", "--1", "+1-2", "0x1-2")),
    *((f"bytes={text}", 200, 416, MALFORMED) for text in ("1--2", "5-Z", "1-2-3", "1 2-3", "2-5;")),
    *((f"bytes={text}", 200, 416, MALFORMED) for text in (",", "0-1,x")),
    ("bytes=0-1,5-4", 200, 206, MALFORMED),
]


class Answer(NamedTuple):
    """What tells two answers to a range apart."""

    status: int
    content_range: str | None
    body: bytes
    """Of several parts, with the boundary as B and without the case of header names."""


def ask(port: int, name: str, header: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request("GET", f"/{name}", headers={"Range": header})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    kind, _, boundary = response.headers["Content-Type"].partition("; boundary=")
    if kind == "multipart/byteranges":
        # nginx begins with an empty line, which belongs to no part (RFC 2046 5.1.1).
        body = body.replace(boundary.encode(), b"B").removeprefix(b"\r\n")
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


@pytest.mark.parametrize("header", ["bytes=0-", "bytes=-1", "bytes=-0", "foo", "bytes=0-0,2-2"])
def test_the_same_answer_of_an_empty_file(header: str, ports: tuple[int, int]) -> None:
    ours, nginx = (ask(port, "empty.dat", header) for port in ports)
    assert ours == nginx


def test_a_malformed_range_of_an_empty_file(ports: tuple[int, int]) -> None:
    assert [ask(port, "empty.dat", "bytes=0--1").status for port in ports] == [200, 416], MALFORMED


@pytest.mark.parametrize(("header", "ours", "nginx", "why"), DIFFERENT)
def test_another_answer_for_a_reason(
    header: str, ours: int, nginx: int, why: str, ports: tuple[int, int]
) -> None:
    """Where nginx changes its answer, or we ours, the line in docs/server.md is no longer true."""
    first, second = (ask(port, "ten.dat", header) for port in ports)
    assert (first.status, second.status) == (ours, nginx), why
    assert first != second


def test_more_than_sixteen_ranges_are_the_whole_file_as_with_max_ranges(tmp_path: Path) -> None:
    (tmp_path / "a.dat").write_bytes(bytes(range(100)))
    with Serve(tmp_path) as ours, Nginx(tmp_path, extra="max_ranges 16;") as nginx:
        for count in (16, 17):
            header = "bytes=" + ",".join(f"{2 * n}-{2 * n}" for n in range(count))
            answers = [ask(port, "a.dat", header) for port in (ours.port, nginx.port)]
            assert answers[0] == answers[1]
            assert answers[0].status == (206 if count == 16 else 200)
