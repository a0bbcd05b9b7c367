"""What systemd hears of a service."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from regather.server.notify import Notifier
from tests.server.process import TIMEOUT, Serve


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(address)
        heard.settimeout(TIMEOUT)
        yield heard


def test_a_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "socket"))
    monkeypatch.setenv("WATCHDOG_USEC", "20000")
    monkeypatch.delenv("WATCHDOG_PID", raising=False)
    (tmp_path / "hosted").mkdir()
    with (
        listening(str(tmp_path / "socket")) as heard,
        Serve(tmp_path / "hosted", afresh=True) as server,
    ):
        told = [heard.recv(1000).decode() for _ in range(4)]
        assert f"READY=1\nSTATUS=Listening at http://127.0.0.1:{server.port}/" in told
        assert told.count("WATCHDOG=1") == 3  # again and again
        server.terminate()
        while (last := heard.recv(1000)) == b"WATCHDOG=1":
            pass
        assert last == b"STOPPING=1"
        assert server.wait() == 0


def test_an_abstract_socket() -> None:
    name = f"regather-test-{os.getpid()}"
    with listening(f"\0{name}") as heard:
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).send("READY=1", "STATUS=x")
        assert heard.recv(100) == b"READY=1\nSTATUS=x"


@pytest.mark.parametrize(
    ("environment", "seconds"),
    [
        ({}, 0),
        ({"WATCHDOG_USEC": "30000000"}, 15),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0),  # of another process
        ({"WATCHDOG_USEC": "soon"}, 0),
    ],
)
def test_how_often_it_says_that_it_lives(environment: dict[str, str], seconds: float) -> None:
    assert Notifier(environment).interval == seconds


@pytest.mark.parametrize("path", ["", "/nowhere/socket"])
def test_nobody_listens(path: str) -> None:
    Notifier({"NOTIFY_SOCKET": path}).send("READY=1")
