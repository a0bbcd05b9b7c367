"""Downloads that somebody watches: what that costs them, and how soon the page shows an outage."""

from __future__ import annotations

import json
import math
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page

from regather.cluster import Cluster, server_folders

_COMMAND = (sys.executable, "-m", "regather")
_AWAY = (1, 10, 30, 60)
"""Seconds for which a server is away."""
_MODES = ("without a page", "with a page", "with a page that is open")


def timed(call: Callable[[], object]) -> float:
    """Milliseconds that a call takes."""
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def _hosted(folder: Path, size: str) -> None:
    """A file, split over four servers."""
    file = folder / "file.bin"
    subprocess.run([*_COMMAND, "generate", str(file), "--size", size, "-q"], check=True)
    words = [
        *_COMMAND,
        "split",
        str(file),
        "--out",
        str(folder / "hosted"),
        "--force",
        "-q",
    ]
    subprocess.run([*words, "--fragments", "4", "--servers", "4"], check=True)
    file.unlink()


def watched(page: Page, folder: Path, size: str, runs: int) -> None:
    """A download without a page, with one, and with one that is open, in turns.

    The CPU time is that of the command alone: others, such as the browser, use the machine.
    """
    _hosted(folder, size)
    cpu: dict[str, list[float]] = {mode: [] for mode in _MODES}
    wall: dict[str, list[float]] = {mode: [] for mode in _MODES}
    with Cluster(server_folders(folder / "hosted")) as cluster:
        manifest = next((folder / "hosted" / "server1").glob("*.json"))
        servers = [word for url in cluster.urls for word in ("--server", url)]
        for run in range(len(_MODES) * runs):
            mode = _MODES[run % len(_MODES)]
            words = [
                *_COMMAND,
                "get",
                manifest,
                *servers,
                "-o",
                folder / "copy",
                "--json",
                "--no-sync",
            ]
            if mode != _MODES[0]:
                words += ["--page"]
            began = time.perf_counter()
            with subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    said = json.loads(line)
                    if said["event"] == "page" and mode == _MODES[-1]:
                        page.goto(said["url"])
                _, _, used = os.wait4(process.pid, 0)
                process.returncode = 0
                wall[mode].append(time.perf_counter() - began)
                cpu[mode].append(used.ru_utime + used.ru_stime)
            (folder / "copy").unlink()
    for what, seconds in (("CPU", cpu), ("time", wall)):
        without = seconds[_MODES[0]]
        print(f"{size}: {statistics.median(without):.3f} s of {what} {_MODES[0]}")
        for mode in _MODES[1:]:
            more = [b - a for a, b in zip(without, seconds[mode], strict=True)]
            error = statistics.stdev(more) / math.sqrt(len(more))
            share = statistics.median(more) / statistics.median(without)
            print(
                f"    {mode}: {statistics.median(more):+.3f} s ({share:+.1%}), "
                f"standard error {error:.3f} s"
            )


def outages(page: Page, folder: Path) -> None:
    """How soon a page shows that a server was killed, and that it is back."""
    _hosted(folder, "1GiB")
    slow = [("--fault", "slow:1MB")] * 4
    with Cluster(server_folders(folder / "hosted"), arguments=slow) as cluster:
        manifest = next((folder / "hosted" / "server1").glob("*.json"))
        servers = [word for url in cluster.urls for word in ("--server", url)]
        words = [*_COMMAND, "get", str(manifest), *servers, "-o", str(folder / "copy")]
        victim = cluster.members[1]
        port = str(urlsplit(victim.url).port)
        again = [*_COMMAND, "serve", str(victim.folder), "-p", port, *slow[1], "-q"]
        running = victim.process
        # Not as JSON: nobody would read its progress, and it would wait for that.
        with subprocess.Popen([*words, "--page"], stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            page.goto(process.stderr.readline().removeprefix("Page: ").strip())
            shown = page.locator("#server-rows > div", has_text=f":{port}").locator(".is")
            try:
                for seconds in _AWAY:
                    shown.get_by_text("ok", exact=True).wait_for()
                    time.sleep(2)
                    running.kill()
                    gone = timed(shown.get_by_text("gone", exact=True).wait_for) / 1000
                    time.sleep(max(seconds - gone, 0))
                    running = subprocess.Popen(again, stdout=subprocess.DEVNULL, text=True)
                    _wait_listening(int(port))
                    back = timed(shown.get_by_text("ok", exact=True).wait_for) / 1000
                    print(f"gone after {gone:.1f} s; away {seconds} s, ok after {back:.1f} s")
            finally:
                process.terminate()
                running.kill()
                running.wait()
    (folder / "copy").unlink(missing_ok=True)


def _wait_listening(port: int) -> None:
    while True:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
