"""What is looked at before a request gets to the files."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import HttpVersion10, HttpVersion11, web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from regather.server.app import Application
from regather.server.files import Root
from tests.support.steps import assert_linear, lines_run


def status(folder: Path, target: str, *headers: tuple[str, str], old: bool = False) -> int:
    """The answer's status; the request is made, what answers it is all real."""
    version = HttpVersion10 if old else HttpVersion11
    request = make_mocked_request("GET", target, CIMultiDict(headers), version=version)
    return asyncio.run(_status(Application(Root(folder)), request))


@pytest.mark.parametrize(
    ("hosts", "right"),
    [
        (["localhost"], True),
        (["localhost:8001"], True),
        (["a.example"], True),
        (["a_b.example:"], True),
        (["127.0.0.1:80"], True),
        (["[::1]"], True),
        (["[::1]:8001"], True),
        (["[fe80::1%25eth0]:80"], True),
        (["a%20b"], True),
        ([""], True),  # RFC 9110 7.2: empty where the target has no authority
        ([], False),
        (["a", "a"], False),
        (["a b"], False),
        (["a/b"], False),
        (["a,b/"], False),
        (["user@a"], False),
        (["http://a"], False),
        (["a:b"], False),
        (["a:80:80"], False),
        (["::1"], False),
        (["[::1"], False),
        (["[::1]x"], False),
        (["a%2"], False),
        (["ä"], False),
        (["a?b"], False),
        (["a\tb"], False),
    ],
)
def test_the_host(hosts: list[str], right: bool, folder: Path) -> None:
    headers = [("Host", host) for host in hosts]
    expected = 404 if right else 400
    assert status(folder, "/nothing", *headers) == expected
    assert status(folder, "/-/health", *headers) == (200 if right else 400)


@pytest.mark.parametrize("served", ["hosted", "hosted/file.dat"])
def test_ready_while_what_is_served_can_be_read(served: str, tmp_path: Path) -> None:
    root = tmp_path / "hosted"
    root.mkdir()
    (root / "file.dat").write_bytes(b"x")
    answers = Application(Root(tmp_path / served))
    host = CIMultiDict({"Host": "a"})

    def ready() -> int:
        request = make_mocked_request("GET", "/-/ready", host)
        return asyncio.run(_status(answers, request))

    assert ready() == 200
    root.rename(tmp_path / "away")
    assert ready() == 503
    (tmp_path / "away").rename(root)
    assert ready() == 200
    answers.state.stopping.set()
    assert ready() == 503
    assert answers.state.requests == 0


async def _status(answers: Application, request: web.Request) -> int:
    return (await answers(request)).status


def test_http_1_0_needs_no_host(folder: Path) -> None:
    assert status(folder, "/nothing", old=True) == 404
    assert status(folder, "/nothing", ("Host", "a b"), old=True) == 400


def test_a_path_is_not_looked_up_part_by_part(folder: Path) -> None:
    """As a router does, which copies all that is left of it each time: quadratic in bytes."""
    once, twice = (
        lines_run(lambda n=n: status(folder, "/" * n, ("Host", "x")))  # type: ignore[misc]
        for n in (4000, 8000)
    )
    assert twice - once < 100


@pytest.mark.parametrize("name", ["Host", "Range", "If-Match", "If-None-Match", "If-Range", "X"])
@pytest.mark.parametrize("piece", ["a", " ", ",", '"', '"a",', "%20", "[", "1-2,", ":"])
def test_long_headers_cost_no_more_than_their_length(name: str, piece: str, folder: Path) -> None:
    def ask(count: int) -> None:
        others = () if name == "Host" else (("Host", "x"),)
        status(folder, "/empty.dat", *others, (name, "bytes=" + piece * count))

    assert_linear(ask, 1000)
