"""The folder beside a local manifest: asked for what the servers that are named do not have."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import regather
from tests.support.files import random_file
from tests.support.hosting import Hosting
from tests.support.net import free_port
from tests.support.rogue import Rogue

QUICK = regather.Settings(retries=0, connect_timeout=1, timeout=2, sync=False)
PATIENT = regather.Settings(retries=0, timeout=60, sync=False)
SIZE = 3_000_000


@pytest.fixture
def made(tmp_path: Path) -> Path:
    random_file(tmp_path / "f.bin", SIZE)
    regather.split(tmp_path / "f.bin", tmp_path / "out", fragments=3)
    return tmp_path


def got(
    made: Path,
    server: str,
    settings: regather.Settings = QUICK,
    on_progress: Callable[[regather.Progress], None] | None = None,
) -> regather.DownloadReport:
    """The report of a download from a server and the folder, which brings the right bytes."""
    report = regather.download(
        made / "out" / "f.bin.regather.json",
        made / "x",
        servers=server,
        settings=settings,
        on_progress=on_progress,
    )
    assert (made / "x").read_bytes() == (made / "f.bin").read_bytes()
    return report


def test_a_server_that_is_dead(made: Path) -> None:
    report = got(made, f"http://127.0.0.1:{free_port()}/")
    assert [source.useful for source in report.sources] == [0, SIZE]


def test_a_server_that_has_some(made: Path) -> None:
    (made / "some").mkdir()
    (made / "out" / "file_fragment_2.dat").rename(made / "some" / "file_fragment_2.dat")
    with Hosting() as hosting:
        report = got(made, hosting.serve(made / "some").url)
    assert [source.useful for source in report.sources] == [SIZE // 3, SIZE - SIZE // 3]


def test_the_folder_is_used_while_a_server_still_sends(made: Path) -> None:
    """The planner says that a fragment has no source, before it has everything else."""
    fragments = {f"file_fragment_{n}.dat" for n in (2, 3)}
    folder_is_used = threading.Event()

    def answer(head: bytes, connection: socket.socket) -> None:
        name = head.split()[1].decode().lstrip("/")
        if name not in fragments:
            connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            return
        assert folder_is_used.wait(60)
        data = (made / "out" / name).read_bytes()
        line = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
        connection.sendall(line % len(data) + data)

    def watch(progress: regather.Progress) -> None:
        if sum(source.received > 0 for source in progress.sources[1:]):
            folder_is_used.set()

    with Rogue(answer) as server:
        report = got(made, server.url, PATIENT, watch)
    assert [source.useful for source in report.sources] == [SIZE - SIZE // 3, SIZE // 3]


def test_the_folder_is_asked_for_more_when_the_server_has_less_than_it_said(made: Path) -> None:
    """It is one source to whoever reads the report, though the planner is told of it twice."""
    folder_is_used = threading.Event()

    def answer(head: bytes, connection: socket.socket) -> None:
        if not head.startswith(b"GET /file_fragment_1"):
            folder_is_used.wait(60)
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def watch(progress: regather.Progress) -> None:
        assert len(progress.sources) <= 2
        if sum(source.received > 0 for source in progress.sources[1:]):
            folder_is_used.set()

    with Rogue(answer) as server:
        report = got(made, server.url, PATIENT, watch)
    assert [source.useful for source in report.sources] == [0, SIZE]
    assert report.received == SIZE


def test_servers_that_have_all_are_enough(made: Path) -> None:
    seen: list[regather.Progress] = []
    with Hosting() as hosting:
        url = hosting.serve(made / "out").url
        report = got(made, url, on_progress=seen.append)
    assert [source.url for source in report.sources] == [url]
    assert max(len(progress.sources) for progress in seen) == 1
