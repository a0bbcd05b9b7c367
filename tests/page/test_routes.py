"""The page over HTTP, without a browser."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from regather.page.checks import Checked, Checks
from regather.page.page_server import PageServer
from regather.page.recorder import Recorder
from regather.page.routes import MOST_STREAMS
from tests.page.subjects import Made, sample
from tests.support.net import PATIENCE

STATIC = Path(__file__).parents[2] / "src/regather/page/static"


@pytest.fixture
def made() -> Made:
    return Made(sample())


@pytest.fixture
def page(made: Made) -> Iterator[PageServer]:
    with PageServer(lambda: Recorder("get", made)) as server:
        yield server


def port_of(page: PageServer) -> int:
    return int(page.url.rstrip("/").rpartition(":")[2])


def ask(
    page: PageServer, path: str, method: str = "GET", **headers: str
) -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", port_of(page), timeout=PATIENCE)
    try:
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        return response, response.read()
    finally:
        connection.close()


def read_events(page: PageServer, count: int) -> list[tuple[str, Any]]:
    """The first events of a stream."""
    connection = HTTPConnection("127.0.0.1", port_of(page), timeout=PATIENCE)
    connection.request("GET", "/-/events")
    response = connection.getresponse()
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert response.headers["X-Accel-Buffering"] == "no"
    found: list[tuple[str, Any]] = []
    kind = ""
    while len(found) < count:
        line = response.readline().decode().rstrip("\n")
        if line.startswith("event: "):
            kind = line.removeprefix("event: ")
        elif line.startswith("data: "):
            found.append((kind, json.loads(line.removeprefix("data: "))))
    connection.close()
    return found


def test_the_state_is_json(page: PageServer) -> None:
    response, body = ask(page, "/-/status")
    assert response.headers["Content-Type"] == "application/json; charset=utf-8"
    assert json.loads(body)["version"] == 1


def test_a_stream_begins_with_everything_and_goes_on_with_changes(page: PageServer) -> None:
    (first, everything), (second, change) = read_events(page, 2)
    assert (first, second) == ("status", "change")
    assert change["tick"] > everything["tick"]
    assert change["files"] == [{"fragments": []}]


def test_the_end_is_told_with_the_last_state(made: Made) -> None:
    found: list[tuple[str, Any]] = []
    with PageServer(lambda: Recorder("get", made)) as page:

        def follow() -> None:
            while not found or found[-1][0] != "end":
                found.extend(read_all(page))

        reader = threading.Thread(target=follow)
        reader.start()
        assert page.wait_for_reader(PATIENCE)
        made.now.outcome, made.now.message = "done", "Done: all of it."
    reader.join(PATIENCE)
    assert found[-1] == ("end", {})
    assert found[-2][1]["state"]["text"] == "Done: all of it."


def read_all(page: PageServer) -> list[tuple[str, Any]]:
    connection = HTTPConnection("127.0.0.1", port_of(page), timeout=PATIENCE)
    connection.request("GET", "/-/events")
    text = connection.getresponse().read().decode()
    connection.close()
    return [
        (kind, json.loads(data)) for kind, data in re.findall(r"event: (\w+)\ndata: (.*)\n", text)
    ]


def test_a_reader_that_takes_nothing_stops_nobody(page: PageServer) -> None:
    with socket.create_connection(("127.0.0.1", port_of(page)), PATIENCE) as idle:
        idle.sendall(b"GET /-/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert [kind for kind, _ in read_events(page, 2)] == ["status", "change"]


def test_a_reader_that_missed_seconds_gets_everything_anew(made: Made) -> None:
    recorder = Recorder("get", made)
    with PageServer(lambda: recorder) as page:
        connection = HTTPConnection("127.0.0.1", port_of(page), timeout=PATIENCE)
        connection.request("GET", "/-/events")
        response = connection.getresponse()
        kinds = [next_kind(response), next_kind(response)]
        recorder.tick += 10  # as if so many had been recorded since
        while kinds[-1] == "change":
            kinds.append(next_kind(response))
        connection.close()
    assert (kinds[:2], kinds[-1]) == (["status", "change"], "status")


def next_kind(response: HTTPResponse) -> str:
    while not (line := response.readline().decode()).startswith("event: "):
        pass
    return line.removeprefix("event: ").rstrip("\n")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9", "[::1]:80", "LOCALHOST."])
def test_addresses_are_served(page: PageServer, host: str) -> None:
    assert ask(page, "/", Host=host)[0].status == 200


@pytest.mark.parametrize("path", ["/", "/-/status", "/-/events", "/-/page/", "/-/page/app.js"])
def test_another_host_name_is_refused(page: PageServer, path: str) -> None:
    response, body = ask(page, path, Host="rebound.example")
    assert response.status == 421
    assert b"not served under this host name" in body


def test_more_pages_than_are_served(page: PageServer) -> None:
    """Each takes memory for what it has not read yet."""
    with contextlib.ExitStack() as stack:
        for _ in range(MOST_STREAMS):
            one = HTTPConnection("127.0.0.1", port_of(page), timeout=PATIENCE)
            stack.callback(one.close)
            one.request("GET", "/-/events")
            assert one.getresponse().status == 200
        response, body = ask(page, "/-/events")
        assert (response.status, body) == (503, b"too many pages are open\n")
        assert ask(page, "/-/status")[0].status == 200


def test_every_answer_has_the_policy(page: PageServer) -> None:
    for path in ("/", "/-/status", "/-/page/app.js"):
        response, _ = ask(page, path)
        assert response.headers["Content-Security-Policy"].startswith("default-src 'self';")
        assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_without_a_token_the_page_is_read_only(page: PageServer) -> None:
    for method in ("POST", "PUT", "DELETE"):
        for path in ("/-/status", "/-/check"):
            assert ask(page, path, method, Authorization="Bearer secret")[0].status == 405


def test_a_check_needs_the_token(made: Made) -> None:
    ran = threading.Event()

    def check() -> list[Checked]:
        ran.set()
        return []

    with PageServer(lambda: Recorder("get", made, checks=Checks(check)), token="secret") as page:
        for headers, status in (
            ({}, 401),
            ({"Authorization": "Bearer other"}, 401),
            ({"Authorization": "Bearer secret", "Host": "rebound.example"}, 421),
        ):
            assert ask(page, "/-/check", "PUT", **headers)[0].status == status
        assert ask(page, "/-/check", "DELETE", Authorization="Bearer secret")[0].status == 405
        assert ask(page, "/-/status", "PUT", Authorization="Bearer secret")[0].status == 405
        assert ask(page, "/-/check", Authorization="Bearer secret")[0].status == 404
        assert not ran.is_set()
        assert ask(page, "/-/check", "PUT", Authorization="Bearer secret")[0].status == 202
        assert ran.wait(PATIENCE)


def test_without_javascript_the_state_is_text(page: PageServer, made: Made) -> None:
    made.now = sample(name="<b>&bold</b>.bin")
    until = threading.Event()
    for _ in range(200):
        text = ask(page, "/")[1].decode()
        if "&lt;b&gt;&amp;bold&lt;/b&gt;.bin" in text:
            break
        until.wait(0.05)
    assert "<b>" not in text
    assert '<a href="-/status">available as JSON</a>' in text
    assert "Healthy: any 2 servers can fail." in text


def test_below_the_pages_own_path_links_lead_up(page: PageServer) -> None:
    text = ask(page, "/-/page/")[1].decode()
    assert 'src="../../-/page/app.js"' in text


def test_files_are_not_sent_twice(page: PageServer) -> None:
    tag = ask(page, "/-/page/page.css")[0].headers["ETag"]
    assert ask(page, "/-/page/page.css", **{"If-None-Match": tag})[0].status == 304
    assert ask(page, "/-/page/nothing.js")[0].status == 404


def test_all_files_together_are_small_and_ask_no_other_host() -> None:
    files = list(STATIC.iterdir())
    assert sum(path.stat().st_size for path in files) < 120_000
    for path in files:
        urls = set(re.findall(r"https?://[^\s\"'`)]+", path.read_text("utf-8")))
        assert urls <= {"http://www.w3.org/2000/svg"}, path
