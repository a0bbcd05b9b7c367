"""A stop, a cancellation and Ctrl-C take effect before the download proper too."""

from __future__ import annotations

import asyncio
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import regather
from tests.support.files import alone, leftovers, random_file, without_progress
from tests.support.hosting import Hosting
from tests.support.net import wait_until
from tests.support.piping import Piped
from tests.support.rogue import Answer, Rogue, sends

PATIENT = regather.Settings(timeout=120, connect_timeout=120)
HANG = 60.0
"""Seconds: far less than what is waited for, far more than a stop may take."""


def silent(head: bytes, connection: socket.socket) -> None:
    connection.recv(1)


def trickles(head: bytes, connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        connection.sendall(b"{")
        time.sleep(0.05)


busy = sends(b"HTTP/1.1 503 Busy\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n")

WHAT = {
    "manifest, silent": (silent, ()),
    "manifest, trickling": (trickles, ()),
    "fragments, silent": (silent, ("1.dat", "2.dat")),
    "fragments, busy": (busy, ("1.dat", "2.dat", "3.dat")),
    "many fragments": (silent, tuple(f"{n}.dat" for n in range(50))),
}


def arguments(rogue: Rogue, names: tuple[str, ...]) -> tuple[str | None, list[str]]:
    return (None if names else rogue.url + "x.regather.json"), [rogue.url + n for n in names]


@pytest.mark.parametrize("what", WHAT)
def test_stop(tmp_path: Path, what: str) -> None:
    answer, names = WHAT[what]
    stop = threading.Event()
    with Rogue(answer) as rogue:
        source, fragments = arguments(rogue, names)

        def when_asked() -> None:
            wait_until(lambda: bool(rogue.requests), timeout=HANG)
            stop.set()

        stopper = threading.Thread(target=when_asked)
        stopper.start()
        began = time.monotonic()
        with pytest.raises(regather.InterruptedDownload, match="stopped"):
            regather.download(
                source, tmp_path / "x", fragments=fragments, settings=PATIENT, stop=stop
            )
        assert time.monotonic() - began < HANG
        stopper.join()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("what", WHAT)
def test_cancellation(tmp_path: Path, what: str) -> None:
    answer, names = WHAT[what]

    async def main(rogue: Rogue) -> None:
        source, fragments = arguments(rogue, names)
        task = asyncio.create_task(
            regather.adownload(source, tmp_path / "x", fragments=fragments, settings=PATIENT)
        )
        while not rogue.requests:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    began = time.monotonic()
    with Rogue(answer) as rogue:
        asyncio.run(main(rogue))
        assert time.monotonic() - began < HANG
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("what", WHAT)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal(tmp_path: Path, what: str, number: signal.Signals) -> None:
    answer, names = WHAT[what]
    with Rogue(answer) as rogue:
        source, fragments = arguments(rogue, names)
        words = [source] if source else [w for f in fragments for w in ("--fragment", f)]
        client = subprocess.Popen(
            [sys.executable, "-m", "regather", "get", *words, "--timeout", "120"],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: bool(rogue.requests), timeout=HANG)
        client.send_signal(number)
        _, told = client.communicate(timeout=HANG)
    assert client.returncode == 130
    assert "interrupted before the download began; the same command resumes" in told
    assert "Traceback" not in told
    assert without_progress(told).count("\n") == 1


def test_a_lookup_of_a_name_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It cannot be broken off: then it is left behind."""
    stop, over = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> list[object]:
        stop.set()
        over.wait(HANG * 2)
        raise OSError("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    began = time.monotonic()
    with pytest.raises(regather.InterruptedDownload):
        regather.download("http://slow.example/x.regather.json", tmp_path / "x", stop=stop)
    assert time.monotonic() - began < HANG
    over.set()


def test_an_error_in_the_callback_ends_the_asking(tmp_path: Path) -> None:
    def broken(progress: regather.Progress) -> None:
        assert progress.phase == "asking"
        raise LookupError("mine")

    with Rogue(silent) as rogue, pytest.raises(LookupError, match="mine"):
        regather.download(
            rogue.url + "x.regather.json", tmp_path / "x", settings=PATIENT, on_progress=broken
        )


def test_progress_while_asking(tmp_path: Path) -> None:
    """Who waits, why, and for which retry."""
    seen: list[regather.Progress] = []
    stop = threading.Event()

    def watch(progress: regather.Progress) -> None:
        seen.append(progress)
        if progress.sources[0].failures == 2:
            stop.set()

    with Rogue(busy_without_date()) as rogue, pytest.raises(regather.InterruptedDownload):
        regather.download(
            fragments=[rogue.url + "1.dat"], dest=tmp_path / "x", on_progress=watch, stop=stop
        )
    last = seen[-1]
    assert (last.phase, last.size, last.retries) == ("asking", 0, 5)
    assert last.sources[0].state == "waiting"
    assert last.sources[0].last_error.endswith("HTTP 503")


def busy_without_date() -> Answer:
    return sends(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")


def test_before_the_first_piece_nothing_is_kept(tmp_path: Path, hosting: Hosting) -> None:
    regather.split(random_file(tmp_path / "f", 3 << 20), tmp_path / "out", fragments=1)
    url = hosting.serve(tmp_path / "out", faults=["slow:20kB"]).url
    manifest = alone(tmp_path / "out" / "f.regather.json")
    with Piped("get", manifest, "--server", url, "-o", tmp_path / "x") as running:
        # The rate is that of the sources, as long as no piece is whole.
        assert running.told_of("KiB/s, ")
        running.command.send_signal(signal.SIGINT)
        code, told = running.ended()
    assert code == 130
    assert "no whole piece was received, and nothing is kept; the same command resumes\n" in told
    assert leftovers(tmp_path) == []
