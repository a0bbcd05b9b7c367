"""``regather gateway --page``: what the page says of sources, files and the cache."""

from __future__ import annotations

import gc
import json
import signal
import socket
import subprocess
import sys
import time
import urllib.request
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from regather.cluster import Cluster
from regather.gateway.hosted import Response
from regather.gateway.launch import GatewayServer, prepared
from regather.page.samples import MOST_FILES
from regather.transport import Failure
from tests.gateway.support import SETTINGS, asking, eventually, get, started
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE, wait_until
from tests.support.small import PIECE, small

COMMAND = [sys.executable, "-m", "regather", "gateway"]


def _status(page: str, until: Callable[[Any], object]) -> Any:
    """The state once it is as it is to be; the page takes a look each second."""
    ends = time.monotonic() + PATIENCE
    while True:
        with urllib.request.urlopen(f"{page}-/status") as answer:
            state = json.load(answer)
        if until(state) or time.monotonic() > ends:
            return state
        time.sleep(0.1)


def test_what_a_page_says_while_a_server_dies(tmp_path: Path) -> None:
    part = small([40 * PIECE, 40 * PIECE], parity=1)
    manifest = part.write(tmp_path, {"1": [1], "2": [2], "3": [3]})
    content = b"".join(part.content[name] for name in part.names[:2])
    with Cluster([tmp_path / name for name in "123"]) as cluster:
        servers = [word for url in cluster.urls for word in ("--server", url)]
        words = [str(manifest), "--port", "0", "--page", "--json", *servers]
        token = tmp_path / "token"
        token.write_text("secret")
        token.chmod(0o600)
        words += ["--page-token", str(token)]
        words += ["--cache", str(tmp_path / "cache")]
        process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, text=True)
        try:
            assert process.stdout is not None
            page, url = (json.loads(process.stdout.readline())["url"] for _ in range(2))
            first = _status(page, lambda state: state["files"] and state["files"][0]["link"])
            assert (first["program"], first["readers"], first["copies"]) == ("gateway", 0, None)
            assert [one["url"] for one in first["servers"]] == cluster.urls
            assert first["files"][0]["pieces"]["done"] == 0
            assert {one["state"] for one in first["servers"]} == {"unknown"}
            assert first["state"]["text"] == "Unknown: the state of 3 of 3 servers is unknown."
            assert first["files"][0]["link"].startswith(f"{url}d/")
            assert first["files"][0]["link"].endswith("/small?download")

            with urllib.request.urlopen(_check(page)) as answer:
                assert answer.status == 202
            checked = _status(page, lambda state: state["check"]["text"])
            assert checked["check"]["text"] == "small: healthy"
            known = _status(page, lambda state: state["state"]["word"] == "healthy")
            assert known["state"]["text"] == "Healthy: any 1 server can fail."

            half = f"bytes=0-{40 * PIECE - 1}"
            assert get(url, "small", Range=half).body == content[: 40 * PIECE]
            read = _status(page, lambda state: state["files"][0]["pieces"]["done"] >= 40)
            assert read["files"][0]["fragments"][0]["done"] == 40
            assert read["files"][0]["fragments"][0]["cells"][0] == "h"
            assert read["totals"]["sent"] == 40 * PIECE
            assert read["totals"]["received"] >= 40 * PIECE
            assert read["cache"]["limit"] > 0

            cluster.members[1].kill()
            assert get(url, "small").body == content
            gone = _status(page, lambda state: state["files"][0]["pieces"]["done"] == 80)
            assert gone["files"][0]["pieces"]["done"] == 80
            assert gone["servers"][1]["state"] == "gone"
            wanted = "could not be reached for fragment 2; computed from parity"
            told = _status(page, lambda state: wanted in str(state["events"]))["events"]
            assert wanted in str(told)
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)
    assert process.returncode == 0


def _check(page: str) -> urllib.request.Request:
    headers = {"Authorization": "Bearer secret"}
    return urllib.request.Request(f"{page}-/check", method="PUT", headers=headers)


def _useful(gateway: GatewayServer) -> dict[str, int]:
    """By source; the last piece may be sent on before it is counted."""
    return {server.url: server.useful for server in gateway.watched.sample().servers}


def test_a_source_that_asked_to_be_left_alone_is_paused(tmp_path: Path, hosting: Hosting) -> None:
    """It refused more connections than it has; the pieces on those have not failed."""
    manifest = small([4 * PIECE]).write(tmp_path, {"1": [1]})
    source = hosting.serve(tmp_path / "1").url
    gateway = started(hosting, [manifest], servers=[source], has_page=True)
    assert get(gateway.url, "small").status == 200
    (hosted,) = gateway.catalogue.by_digest.values()
    wait_until(lambda: not hosted.session.healths[0].active, what="the end of all requests")
    assert gateway.watched.sample().servers[0].condition == "ok"
    hosted.session.tallies[0].last_failure = Failure.BUSY
    hosted.session.healths[0].retry_at = time.monotonic() + 600
    (server,) = gateway.watched.sample().servers
    assert (server.condition, server.pause > 500) == ("paused", True)


def test_a_source_on_this_machine_is_one_source(
    tmp_path: Path, hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    manifest = small([4 * PIECE]).write(tmp_path, {"1": [1]})
    gateway = started(hosting, [manifest], servers=["1"], has_page=True)
    assert get(gateway.url, "small").status == 200
    wait_until(lambda: _useful(gateway) == {f"{tmp_path}/1/": 4 * PIECE}, what="one source")


def test_nothing_is_kept_of_what_is_no_longer_served(tmp_path: Path, hosting: Hosting) -> None:
    part = small([4 * PIECE])
    manifest = part.write(tmp_path, {"1": [1], "2": [1]})
    first, second = (hosting.serve(tmp_path / name).url for name in "12")
    manifest.write_bytes(part.at({first: [1]}).manifest.to_bytes())
    gateway = started(hosting, [manifest], has_page=True)
    assert get(gateway.url, "small").status == 200
    (hosted,) = gateway.catalogue.by_digest.values()
    before = weakref.ref(hosted)
    del hosted
    manifest.write_bytes(part.at({second: [1]}).manifest.to_bytes())

    def is_forgotten() -> bool:
        gc.collect()
        return before() is None

    assert eventually(is_forgotten)
    assert get(gateway.url, "small").status == 200
    both = {first: 4 * PIECE, second: 4 * PIECE}
    wait_until(lambda: _useful(gateway) == both, what="the counts of both")


def test_readers_are_transfers(tmp_path: Path, hosting: Hosting) -> None:
    manifest = small([4 * PIECE, 4 * PIECE]).write(tmp_path, {"1": [1]})
    with socket.create_server(("127.0.0.1", 0)) as silent:  # connects, and never answers
        servers = [
            hosting.serve(tmp_path / "1").url,
            f"http://127.0.0.1:{silent.getsockname()[1]}/",
        ]
        gateway = started(hosting, [manifest], servers=servers, has_page=True)
        with asking(gateway.url, "small", Range=f"bytes={2 * PIECE}-"):
            wait_until(
                lambda: (
                    [one.waits for one in gateway.watched.sample().transfers]
                    == ["waits for a piece of fragment 2"]
                ),
                what="a reader that waits",
            )
            sample = gateway.watched.sample()
            (one,) = sample.transfers
            assert (one.name, one.phase) == ("small to 127.0.0.1", "sending")
            assert (one.size, one.done, sample.readers) == (6 * PIECE, 2 * PIECE, 1)
        wait_until(lambda: not gateway.watched.sample().transfers, what="the end of the reader")


def test_of_many_files_those_are_shown_that_were_read_last(tmp_path: Path) -> None:
    for seed in range(MOST_FILES + 2):
        part = small([PIECE], seed=seed).at({"http://a.example/": [1]})
        path = tmp_path / f"{seed:02}.regather.json"
        path.write_bytes(part.manifest.to_bytes())
    gateway = prepared([str(tmp_path)], settings=SETTINGS, has_page=True)()
    gateway.catalogue.adopt(gateway.catalogue.scan())
    *_, last = every = list(gateway.catalogue.by_digest.values())
    layouts = [one.layout for one in every]
    sample = gateway.watched.sample()
    assert [file.layout for file in sample.files] == layouts[:MOST_FILES]
    assert sample.more_files == 2
    last.responses[Response("to a client", 0.0)] = None
    assert last.session is last.live
    for _ in range(2):
        shown = [file.layout for file in gateway.watched.sample().files]
        assert shown == [*layouts[: MOST_FILES - 1], layouts[-1]]
        last.responses.clear()
    gateway.catalogue.close()


def test_a_page_looks_while_readers_come_and_go(tmp_path: Path, hosting: Hosting) -> None:
    manifest = small([12 * PIECE]).write(tmp_path, {"1": [1]})
    servers = [hosting.serve(tmp_path / "1").url]
    gateway = started(hosting, [manifest], servers=servers, has_page=True, cache_size=4 * PIECE)
    with ThreadPoolExecutor(8) as pool:
        reads = [pool.submit(get, gateway.url, "small") for _ in range(16)]
        seen = 0
        while not all(read.done() for read in reads):
            sample = gateway.watched.sample()
            assert len(sample.transfers) == sample.readers
            seen = max(seen, sample.readers or 0)
    assert seen > 0
    assert {len(read.result().body) for read in reads} == {12 * PIECE}
