from __future__ import annotations

import math
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from regather._version import __version__
from regather.server.app import BaseApplication
from regather.server.run import HttpServer
from regather.server.tallies import Family, Histogram
from tests.server.process import HOST, TIMEOUT, Serve, ask
from tests.support.hosting import Hosting
from tests.support.net import wait_until
from tests.support.promtool import needs_promtool, promtool

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Serve]:
    (tmp_path / "file.dat").write_bytes(bytes(1000))
    (tmp_path / "file.dat.regather.json").write_bytes(b"{}")
    with (tmp_path / "big.dat").open("wb") as stream:
        stream.truncate(64 << 20)
    token = tmp_path / ".token"
    token.write_text("a-long-random-word")
    token.chmod(0o600)
    with Serve(tmp_path, "--write-token", str(token)) as server:
        yield server


def scrape(server: Serve) -> Series:
    answer = server.get("/-/metrics")
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return samples_in(answer.body.decode())


def samples_in(text: str) -> Series:
    """All values of a document."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def value(series: Series, name: str, **labels: str) -> float:
    return series.get((f"regather_{name}", tuple(sorted(labels.items()))), 0)


def test_what_is_counted(running: Serve) -> None:
    with running.connect() as connection:
        ask(connection, "/file.dat")
        ask(connection, "/file.dat", Range="bytes=0-99")
        ask(connection, "/file.dat", Range="bytes=0-0,5-6")
        ask(connection, "/file.dat", "HEAD")
        ask(connection, "/file.dat", Range="bytes=5000-")
        ask(connection, "/file.dat.regather.json")
        ask(connection, "/nothing")
        ask(connection, "/")
    running.get("/x.dat", "PUT")
    running.get("/x.dat", "POST")
    series = scrape(running)
    requests = "http_requests_total"
    assert value(series, requests, handler="file", method="GET", code="200") == 1
    assert value(series, requests, handler="file", method="GET", code="206") == 2
    assert value(series, requests, handler="file", method="GET", code="416") == 1
    assert value(series, requests, handler="file", method="GET", code="404") == 1
    assert value(series, requests, handler="file", method="HEAD", code="200") == 1
    assert value(series, requests, handler="file", method="PUT", code="401") == 1
    assert value(series, requests, handler="file", method="other", code="401") == 1
    assert value(series, requests, handler="manifest", method="GET", code="200") == 1
    assert value(series, requests, handler="listing", method="GET", code="200") == 1
    assert value(series, "http_requests_in_flight", handler="status") == 1  # this one
    assert value(series, "http_requests_in_flight", handler="file") == 0
    assert value(series, "http_response_bytes_total", handler="manifest") == 2
    assert value(series, "http_response_bytes_total", handler="file") > 1100
    for histogram in ("http_first_byte_seconds", "http_request_duration_seconds"):
        assert value(series, f"{histogram}_count", handler="file") == 8
        assert value(series, f"{histogram}_bucket", handler="file", le="+Inf") == 8
    assert value(series, "build_info", version=__version__) == 1
    assert value(series, "http_connections") >= 1
    if sys.platform == "linux":
        assert series[("process_resident_memory_bytes", ())] > 1e6


def test_answers_that_break_off(running: Serve) -> None:
    with socket.create_connection((HOST, running.port), timeout=TIMEOUT) as connection:
        connection.sendall(b"GET /big.dat HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(1000)
        assert value(scrape(running), "http_requests_in_flight", handler="file") == 1
    gone = ("regather_http_aborted_total", (("reason", "client_gone"),))
    wait_until(lambda: scrape(running).get(gone) == 1, what="the count")
    series = scrape(running)
    assert value(series, "http_requests_in_flight", handler="file") == 0
    sent = value(series, "http_response_bytes_total", handler="file")
    assert 0 < sent < 64 << 20


class Flawed(BaseApplication):
    """Answers nothing."""

    def check(self) -> None:
        """See BaseApplication.check."""

    async def find(self, request: web.BaseRequest, target: str) -> web.StreamResponse:
        raise ZeroDivisionError


def test_an_error_of_our_own_is_counted(hosting: Hosting) -> None:
    """For the alert on such answers."""
    server = hosting.start(lambda: HttpServer(Flawed()))
    with pytest.raises(HTTPError) as error:
        urlopen(f"{server.url}file.dat", timeout=TIMEOUT)
    error.value.close()
    assert error.value.code == 500
    with urlopen(f"{server.url}-/metrics", timeout=TIMEOUT) as answer:
        series = samples_in(answer.read().decode())
    assert value(series, "http_requests_total", handler="file", method="GET", code="500") == 1
    assert value(series, "http_requests_in_flight", handler="file") == 0


def test_no_client_adds_a_series(running: Serve) -> None:
    """Whatever it asks for: the number of series has a bound, and the document with it."""
    methods = ("GET", "POST", "PATCH", "OPTIONS")
    with running.connect() as connection:
        for method in methods:
            ask(connection, "/x", method)
            connection.close()
        scrape(running)  # it is counted itself
        before = scrape(running).keys()
        for n in range(300):
            ask(connection, f"/{n}/%ff?{n}", methods[n % 4], X=str(n), Host=f"h{n}")
            connection.close()
        assert scrape(running).keys() == before


@needs_promtool
@pytest.mark.parametrize("accept", ["*/*", "application/openmetrics-text;version=1.0.0"])
def test_prometheus_reads_it(running: Serve, accept: str) -> None:
    running.get("/file.dat")
    running.get("/nothing")
    answer = running.get("/-/metrics", Accept=accept)
    if "openmetrics" in accept:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
        assert answer.body.endswith(b"# EOF\n")
    else:
        assert answer.headers["Content-Type"].startswith("text/plain; version=")
        promtool("check", "metrics", text=answer.body)


def test_metrics_are_for_those_who_may_read(tmp_path: Path) -> None:
    token = tmp_path / ".token"
    token.write_text("secret-word")
    token.chmod(0o600)
    with Serve(tmp_path, "--read-token", str(token)) as server:
        assert server.get("/-/metrics").status == 401
        assert server.get("/-/metrics", Authorization="Bearer secret-word").status == 200


LACKING = """
import sys
sys.modules["prometheus_client"] = None
from regather.cli import run
sys.exit(run())
"""


def test_without_the_library(tmp_path: Path) -> None:
    """Everything else works, and nothing imports it."""
    command = [sys.executable, "-c", LACKING, "serve", str(tmp_path), "--port", "0", "--json"]
    server = Serve(tmp_path, afresh=True)
    server._command = command
    with server:
        assert server.get("/").status == 200
        answer = server.get("/-/metrics", Accept="text/plain")
        assert answer.status == 501
        assert b"pip install 'prometheus-client" in answer.body


def test_the_library_is_imported_when_it_is_needed() -> None:
    code = "import sys, regather.server.run; sys.exit('prometheus_client' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_classes_of_a_histogram() -> None:
    histogram = Histogram()
    for seconds in (0.0, 0.001, 0.0011, 599, 601, math.inf):
        histogram.add(seconds)
    assert histogram.counts == [2, 1, 0, 0, 0, 0, 0, 0, 1, 2]


def test_families_of_others_are_collected() -> None:
    from regather.server.metrics import Exposition

    class Others:
        def families(self) -> Iterator[Family]:
            yield Family("a_pieces", "counter", "Pieces.", {("hit",): 3, ('"\n',): 1}, ("result",))
            yield Family("a_size_bytes", "gauge", "Bytes.", {(): 7.5})

    text, _ = Exposition([Others()]).encode("")
    lines = text.decode().splitlines()
    assert 'a_pieces_total{result="hit"} 3.0' in lines
    assert 'a_pieces_total{result="\\"\\n"} 1.0' in lines
    assert "a_size_bytes 7.5" in lines
