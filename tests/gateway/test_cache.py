"""A gateway with a cache on the disk: what it keeps, and that nothing wrong comes from there."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

import regather
from regather.errors import StorageError
from regather.gateway.launch import GatewayServer
from regather.store import extents
from regather.store.disk_cache import DiskCache
from tests.gateway.support import get, received, started
from tests.support.files import random_file
from tests.support.files import regather as run_regather
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE

PIECE = 64 << 10
SIZE = 100 * PIECE - 77


class Hosted:
    """A file in fragments on two servers, with parity on a third."""

    def __init__(self, folder: Path) -> None:
        self.content = random_file(folder / "file.bin", SIZE).read_bytes()
        self.split = regather.split(
            folder / "file.bin", folder / "hosted", fragments=2, parity=1, servers=3,
            piece_size=PIECE,
        )  # fmt: skip
        self.folder = folder / "hosted"
        self.manifest = self.folder / "file.bin.regather.json"

    def serve(self, hosting: Hosting) -> list[str]:
        return [hosting.serve(self.folder / f"server{n}").url for n in (1, 2, 3)]


@pytest.fixture(scope="module")
def hosted(tmp_path_factory: pytest.TempPathFactory) -> Hosted:
    return Hosted(tmp_path_factory.mktemp("hosted"))


def gateway(
    hosted: Hosted, hosting: Hosting, servers: list[str], cache: Path, **how: Any
) -> GatewayServer:
    return started(hosting, [hosted.manifest], servers=servers, cache=cache, free_space=0, **how)


def test_what_it_keeps_is_served_after_a_start_though_all_servers_are_off(
    hosted: Hosted, hosting: Hosting, tmp_path: Path
) -> None:
    servers = hosted.serve(hosting)
    first = gateway(hosted, hosting, servers, tmp_path / "cache")
    assert get(first.url, "file.bin").body == hosted.content
    assert received(first) >= SIZE
    hosting.run(first.stop())
    again = gateway(hosted, hosting, ["http://127.0.0.1:9/"], tmp_path / "cache")
    assert get(again.url, "file.bin").body == hosted.content
    got = get(again.url, "file.bin", Range=f"bytes={PIECE - 3}-{PIECE + 3}")
    assert (got.status, got.body) == (206, hosted.content[PIECE - 3 : PIECE + 4])
    assert received(again) == 0


def test_the_limit_holds_and_all_is_served(
    hosted: Hosted, hosting: Hosting, tmp_path: Path
) -> None:
    limit = 40 * PIECE
    server = gateway(hosted, hosting, hosted.serve(hosting), tmp_path, cache_size=limit)
    stop = threading.Event()
    most = [0]

    def watch() -> None:
        while not stop.is_set():
            most[0] = max(most[0], sum(p.stat().st_blocks * 512 for p in tmp_path.rglob("[0-9]")))

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        for _ in range(3):
            assert get(server.url, "file.bin").body == hosted.content
    finally:
        stop.set()
        watching.join()
    assert 0 < most[0] <= limit


def test_wrong_bytes_on_the_disk_are_served_to_nobody(
    hosted: Hosted, hosting: Hosting, tmp_path: Path
) -> None:
    servers = hosted.serve(hosting)
    first = gateway(hosted, hosting, servers, tmp_path)
    assert get(first.url, "file.bin").body == hosted.content
    hosting.run(first.stop())
    (path,) = tmp_path.rglob("0")
    with path.open("r+b") as file:
        file.seek(extents.BLOCK + 5 * PIECE)
        file.write(b"other bytes")
    again = gateway(hosted, hosting, servers, tmp_path)
    assert get(again.url, "file.bin").body == hosted.content
    assert 0 < received(again) <= 3 * PIECE


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_is_full_or_fails(
    hosted: Hosted,
    hosting: Hosting,
    tmp_path: Path,
    number: int,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = gateway(hosted, hosting, hosted.serve(hosting), tmp_path)

    def failing(*arguments: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(extents, "write_all", failing)
    for _ in range(2):
        assert get(server.url, "file.bin").body == hosted.content
    lines = [r.message for r in caplog.records if r.name == "regather.cache"]
    assert len(lines) == 1
    assert f"cache {tmp_path}: {os.strerror(number).lower()}" in lines[0]
    assert f'errno="{errno.errorcode[number]}"' in get(server.url, "-/metrics").body.decode()


def filled(hosted: Hosted, hosting: Hosting, cache: Path) -> GatewayServer:
    """A new gateway that has all on its disk and nothing in memory."""
    servers = hosted.serve(hosting)
    first = gateway(hosted, hosting, servers, cache)
    assert get(first.url, "file.bin").body == hosted.content
    hosting.run(first.stop())
    again = gateway(hosted, hosting, servers, cache)
    assert get(again.url, "file.bin").body == hosted.content  # and all is verified
    assert received(again) == 0
    return again


def test_what_is_on_the_disk_is_sent_from_there(
    hosted: Hosted, hosting: Hosting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Past the memory: a thousand readers at a thousand places need none."""
    server = filled(hosted, hosting, tmp_path)

    def load(path: Path, place: int, size: int, at: int, into: memoryview) -> None:
        assert not into, "it was read into memory"

    monkeypatch.setattr(extents, "load", load)
    assert get(server.url, "file.bin").body == hosted.content


@pytest.mark.parametrize("number", [errno.EIO, 0], ids=["fails", "is cut off"])
def test_a_disk_that_fails_in_the_middle_of_a_piece(
    hosted: Hosted, hosting: Hosting, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rest comes from the sources."""
    server = filled(hosted, hosting, tmp_path)
    send, calls = os.sendfile, 0

    def failing(out: int, descriptor: int, offset: int, count: int) -> int:
        nonlocal calls
        if not os.readlink(f"/dev/fd/{descriptor}").startswith(str(tmp_path)):
            return send(out, descriptor, offset, count)  # of a source
        calls += 1
        if calls == 2 and number:
            raise OSError(number, os.strerror(number))
        return send(out, descriptor, offset, min(count, PIECE // 2)) if calls != 2 else 0

    monkeypatch.setattr(os, "sendfile", failing)
    assert get(server.url, "file.bin").body == hosted.content
    assert 0 < received(server) <= 2 * PIECE


def test_two_processes_on_one_cache(hosted: Hosted, hosting: Hosting, tmp_path: Path) -> None:
    gateway(hosted, hosting, hosted.serve(hosting), tmp_path)
    with pytest.raises(StorageError, match="another process uses this cache"):
        gateway(hosted, hosting, [], tmp_path)
    ended = run_regather("gateway", hosted.manifest, "--cache", tmp_path, "--port", "0")
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert f"{tmp_path}: another process uses this cache" in ended.stderr


# -- killed -----------------------------------------------------------------------------------


@contextmanager
def process(hosted: Hosted, servers: list[str], cache: Path) -> Iterator[tuple[int, str]]:
    """A gateway as a process of its own: its number and address."""
    command = [sys.executable, "-m", "regather", "gateway", str(hosted.manifest), "--json"]
    command += ["--port", "0", "--cache", str(cache), "--free-space", "0.0001"]
    for url in servers:
        command += ["--server", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        try:
            yield running.pid, json.loads(running.stdout.readline())["url"]
        finally:
            running.kill()


def killed_at_random(hosted: Hosted, hosting: Hosting, cache: Path, times: int) -> None:
    servers = hosted.serve(hosting)
    rng = random.Random(times)
    wrong: list[str] = []

    def read(url: str, seed: int) -> None:
        own = random.Random(seed)
        while True:
            start = own.randrange(SIZE)
            try:
                got = get(url, "file.bin", Range=f"bytes={start}-{start + 5 * PIECE}")
            except OSError:
                return  # it was killed
            if not hosted.content.startswith(got.body, start):
                wrong.append(f"{start}, seed {seed}")
            if not got.whole:
                return

    identity = bytes.fromhex(hosted.split.digest)
    for seed in range(times):
        with process(hosted, servers, cache) as (number, url):
            readers = [threading.Thread(target=read, args=(url, 9 * seed + n)) for n in range(3)]
            for reader in readers:
                reader.start()
            if seed == times - 1:  # on a busy machine nothing may have come so soon
                assert get(url, "file.bin").body == hosted.content
            time.sleep(rng.uniform(0, 0.3))
            os.kill(number, signal.SIGKILL)
            for reader in readers:
                reader.join(PATIENCE)
        assert wrong == []
        with closing(DiskCache(cache, 1 << 30, free_share=0)) as left:
            found = left.open(hosted.split.layout, identity)
            claimed = [n for n in found.numbers() if n < found.layout.data_pieces]
            assert all(map(found.verify, claimed)), "a killed process leaves no false claim"
    kept = sum(map(hosted.split.layout.length_of, claimed))
    assert kept
    server = gateway(hosted, hosting, servers, cache)
    assert get(server.url, "file.bin").body == hosted.content
    assert received(server) <= SIZE - kept + 2 * PIECE, "what is right is not fetched again"


def test_killed_at_random_moments(hosted: Hosted, hosting: Hosting, tmp_path: Path) -> None:
    killed_at_random(hosted, hosting, tmp_path, 3)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_killed_at_a_hundred_random_moments(
    hosted: Hosted, hosting: Hosting, tmp_path: Path
) -> None:
    killed_at_random(hosted, hosting, tmp_path, 100)


@pytest.mark.parametrize("name", ["asyncio_", "regather-session", r"regather-\d", "regather-cache"])
def test_a_thread_that_cannot_be_had(
    hosted: Hosted,
    hosting: Hosting,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
) -> None:
    """One answer may be 503; the next one is right."""
    start, failed = threading.Thread.start, threading.Event()

    def failing(thread: threading.Thread) -> None:
        if re.match(name, thread.name) and not failed.is_set():
            failed.set()
            raise RuntimeError("can't start new thread")
        start(thread)

    server = gateway(
        hosted, hosting, [str(hosted.folder / f"server{n}") for n in (1, 2, 3)], tmp_path / "cache"
    )
    monkeypatch.setattr(threading.Thread, "start", failing)
    first = get(server.url, "file.bin")
    assert failed.is_set()
    assert (first.status, first.body == hosted.content) in ((200, True), (503, False))
    assert get(server.url, "file.bin").body == hosted.content
    assert not [record for record in caplog.records if record.exc_info]
