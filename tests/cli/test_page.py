"""The option --page of get and cluster: where the page is, and what it says."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from regather.cli import parser_of
from regather.downloader.job_runner import JobRunner
from regather.downloader.live import WatchedDownloads
from regather.page.recorder import Recorder
from regather.sources.jobs import DownloadJob
from regather.sources.settings import Settings
from regather.splitter import split
from tests.support.files import MIB, alone, random_file, regather
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE
from tests.support.processes import talking


@pytest.fixture
def hosted(tmp_path: Path) -> Path:
    """A file in two fragments, each on a server of its own, and parity on a third."""
    random_file(tmp_path / "file.bin", 6 * MIB)
    split(tmp_path / "file.bin", tmp_path / "hosted", fragments=2, parity=1, servers=3)
    return tmp_path / "hosted"


@pytest.mark.parametrize(
    ("words", "page", "sources"),
    [
        (["--page", "x.regather.json"], ("127.0.0.1", 0), ["x.regather.json"]),
        (["x.regather.json", "--page"], ("127.0.0.1", 0), ["x.regather.json"]),
        (["--page", "8080", "x"], ("127.0.0.1", 8080), ["x"]),
        (["--page=0.0.0.0:81", "x"], ("0.0.0.0", 81), ["x"]),
        (["--page", "[::1]:81", "x"], ("::1", 81), ["x"]),
        (["--page", "http://a.example:80/x"], ("127.0.0.1", 0), ["http://a.example:80/x"]),
        (["x"], None, ["x"]),
    ],
)
def test_the_port_may_be_left_out(words: list[str], page: object, sources: list[str]) -> None:
    args = parser_of("get").parse_args(["get", *words])
    assert (args.page, args.source) == (page, sources)


def test_a_token_needs_a_page(tmp_path: Path) -> None:
    done = regather("gateway", tmp_path, "--page-token", tmp_path / "token")
    assert (done.returncode, done.stderr) == (
        2,
        "regather: --page-token needs --page; add --page\n",
    )


@pytest.mark.parametrize("port", ["99999", "-1", "http"])
def test_a_wrong_port_is_one_line(port: str) -> None:
    done = regather("get", "x", f"--page={port}")
    assert done.returncode == 2
    assert done.stderr.startswith("regather get: error: argument --page: not a port, or HOST:PORT")
    assert len(done.stderr.splitlines()) == 1


def test_a_port_in_use_is_one_line(hosted: Path, tmp_path: Path) -> None:
    manifest = hosted / "file.bin.regather.json"
    with Hosting() as hosting:
        port = hosting.serve(hosted).port
        done = regather("get", manifest, "-o", tmp_path / "copy", "--page", str(port))
    assert done.returncode == 1
    assert done.stderr.startswith(f"regather: port {port} on 127.0.0.1 is in use")
    assert not (tmp_path / "copy").exists()


def test_get_says_where_its_page_is(hosted: Path, tmp_path: Path) -> None:
    manifest = hosted / "file.bin.regather.json"
    done = regather("get", manifest, "-o", tmp_path / "copy", "--page", "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert (events[0]["event"], events[-1]["event"]) == ("page", "done")
    assert events[0]["url"].startswith("http://127.0.0.1:")
    again = regather("get", manifest, "-o", tmp_path / "copy2", "--page")
    assert again.stderr.startswith("Page: http://127.0.0.1:")
    assert (tmp_path / "copy2").read_bytes() == (tmp_path / "file.bin").read_bytes()


def test_events_say_what_was_done_about_a_corrupt_piece(hosted: Path, tmp_path: Path) -> None:
    manifest = alone(hosted / "file.bin.regather.json")
    watched = WatchedDownloads()
    recorder = Recorder("get", watched, events=watched.events)
    with Hosting() as hosting:
        bad = hosting.serve(hosted / "server1", faults=["corrupt"])
        good = [hosting.serve(hosted / f"server{n}") for n in (1, 2)]
        urls = tuple(server.url for server in (bad, *good))
        job = DownloadJob((str(manifest),), tmp_path / "copy", servers=urls)
        settings = Settings(no_proxy="*")
        JobRunner(settings, on_progress=watched.progress, watcher=watched).run(job)
    recorder.record()
    document: dict[str, Any] = recorder.document()
    wrong = [event for event in document["events"] if "sent a corrupt piece" in event["text"]]
    place, other = (url.removeprefix("http://").rstrip("/") for url in urls[:2])
    expected = f"{place} sent a corrupt piece of fragment 1; fetched from {other}, "
    assert wrong[0]["text"].startswith(expected)
    assert wrong[0]["text"].endswith(" ms later")
    row = next(row for row in document["servers"] if row["name"] == place)
    assert row["state"] == "corrupt"
    file = document["files"][0]
    assert file["fragments"][0]["cells"][row["id"] - 1] == "c"
    assert file["pieces"]["done"] == file["pieces"]["count"] == 6
    assert {who for who, _ in file["pieces"]["by"]} <= {1, 2, 3}


def test_pieces_of_an_earlier_run_and_computed_ones_are_told_apart(
    hosted: Path, tmp_path: Path
) -> None:
    manifest = alone(hosted / "file.bin.regather.json")
    watched = WatchedDownloads()
    with Hosting() as hosting:
        servers = [hosting.serve(hosted / f"server{n}") for n in (2, 3)]
        urls = tuple(server.url for server in servers)
        job = DownloadJob((str(manifest),), tmp_path / "copy", servers=urls)
        JobRunner(Settings(no_proxy="*"), on_progress=watched.progress, watcher=watched).run(job)
    recorder = Recorder("get", watched, events=watched.events)
    recorder.record()
    document: dict[str, Any] = recorder.document()
    first, second = document["files"][0]["fragments"][:2]
    assert (first["computed"], second["computed"]) == (3, 0)


def test_a_cluster_shows_a_server_that_was_killed(hosted: Path) -> None:
    with talking("cluster", hosted, "--page", "--json") as (pid, output, _):
        said = [json.loads(output.readline()) for _ in range(2)]
        page = next(one["url"] for one in said if one["event"] == "page")
        urls = next(one["urls"] for one in said if one["event"] == "listening")
        wait_for(page, lambda now: now["state"]["text"] == "Healthy: any 1 server can fail.")
        of = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        victim = next(n for n in of if b"server2" in Path(f"/proc/{n}/cmdline").read_bytes())
        os.kill(int(victim), signal.SIGKILL)
        now = wait_for(page, lambda now: now["servers"][1]["state"] == "gone")
        assert now["state"]["text"].startswith("Degraded: 1 of 3 servers is gone;")
        assert now["servers"][1]["url"] == urls[1]
        assert now["files"][0]["fragments"][1]["cells"] == "aoa"


def wait_for(page: str, until: Any) -> dict[str, Any]:
    """The first state of a page that is as it must be."""
    end = time.monotonic() + PATIENCE
    while True:
        with urllib.request.urlopen(f"{page}-/status", timeout=PATIENCE) as response:
            now: dict[str, Any] = json.load(response)
        if until(now):
            return now
        assert time.monotonic() < end, now
        time.sleep(0.05)
