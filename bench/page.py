"""What the page costs: ``python -m bench.page``.

Prints how long the server needs for a second of a file of 262144 pieces on 100 servers, how large
its messages are, how long a browser needs for the first state and for each frame, and how much
slower a download is that is watched.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from regather.cluster import Cluster, server_folders
from regather.model import Fragment, FragmentIndex, Layout
from regather.page.delta import delta
from regather.page.page_server import PageServer
from regather.page.recorder import Recorder
from regather.page.samples import FileSample, Sample, ServerSample, TransferSample

SERVERS = 100
PIECES = 1 << 18
_PIECE = 1 << 20
_SECONDS = 10
_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-sync",
    "--js-flags=--expose-gc",
)


class Large:
    """A download of 262144 pieces from 100 servers, each of which holds two fragments."""

    def __init__(self) -> None:
        each = PIECES // SERVERS
        fragments = tuple(
            Fragment(FragmentIndex(n + 1), f"f{n + 1}", n * each * _PIECE, each * _PIECE)
            for n in range(SERVERS)
        )
        self._layout = Layout(SERVERS * each * _PIECE, _PIECE, fragments)
        self._here = bytearray(self._layout.piece_count)
        self._by = array("H", bytes(2 * len(self._here)))
        self._random = random.Random(1)
        self._left = list(range(len(self._here)))
        self._random.shuffle(self._left)
        self._received = [0] * SERVERS
        self._urls = [f"http://server{n}.example/" for n in range(SERVERS)]

    def sample(self) -> Sample:
        """One second later: 5000 more pieces, all over the file."""
        for number in self._left[-5000:]:
            source = self._random.randrange(SERVERS)
            self._here[number], self._by[number] = 1, source + 1
            self._received[source] += _PIECE
        del self._left[-5000:]
        done = sum(self._received)
        file = FileSample(
            name="large.bin",
            layout=self._layout,
            here=bytes(self._here),
            servers=self._urls,
            holdings=[frozenset((n, (n + 1) % SERVERS)) for n in range(SERVERS)],
            deliverers=self._by,
            reading=[
                (n, self._random.choice((n, (n + 1) % SERVERS)), 0, 16) for n in range(SERVERS)
            ],
        )
        servers = [
            ServerSample(url, received=count, useful=count, connections=2, latency=0.01)
            for url, count in zip(self._urls, self._received, strict=True)
        ]
        transfer = TransferSample("large.bin", self._layout.size, done, 5e9, 60.0, file=0)
        return Sample(servers=servers, files=[file], transfers=[transfer], received=done)


def _timed(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - began)


def server_side() -> None:
    """Milliseconds and bytes of a second."""
    recorder = Recorder("get", Large())
    records, documents, deltas, sizes = [], [], [], []
    recorder.record()
    before = recorder.document()
    for _ in range(_SECONDS):
        records.append(_timed(recorder.record))
        documents.append(_timed(recorder.document))
        after = recorder.document()
        deltas.append(_timed(lambda: delta(before, after)))  # noqa: B023  called at once
        sizes.append(len(json.dumps(delta(before, after))))
        before = after
    print(f"record, with what is made up for it: {statistics.median(records):.1f} ms")
    print(f"document: {statistics.median(documents):.1f} ms, {len(json.dumps(before))} bytes")
    print(f"change: {statistics.median(deltas):.1f} ms, {statistics.median(sizes):.0f} bytes")


def in_a_browser(page: Page) -> None:
    """First state, and frames."""
    with PageServer(Recorder("get", Large())) as server:
        time.sleep(2)
        began = time.perf_counter()
        page.goto(server.url)
        page.locator("#server-rows > div").nth(SERVERS - 1).wait_for()
        print(f"first state: {1000 * (time.perf_counter() - began):.0f} ms")
        page.wait_for_timeout(1000 * _SECONDS)
        frames = page.evaluate("performance.getEntriesByName('frame').map((one) => one.duration)")
        first, *later = frames
        print(
            f"first frame: {first:.1f} ms; {len(later)} later ones: median "
            f"{statistics.median(later):.1f} ms, "
            f"most {max(later):.1f} ms, least {min(later):.1f} ms"
        )


_DAY = """async (root) => {
  const { applied } = await import(`${root}-/page/state.js`);
  const state = await (await fetch(`${root}-/status`)).json();
  const heap = () => { gc(); return performance.memory.usedJSHeapSize / 1e6; };
  const found = [];
  for (let second = 1; second <= 86400; second += 1) {
    const row = { ...state.servers[second % 100], latest: second };
    delete row.spark;
    const event = { id: second, seq: second, first: second, at: second, count: 1, level: "info",
      text: `event ${second}`, servers: [row.url] };
    applied(state, { tick: second, servers: [row], files: [{ fragments: [] }], events: [event],
      graphs: { seconds: [[second, second, 0, 0]], tens: [] } });
    if (second === 7200 || second === 86400) found.push(heap());
  }
  return found;
}"""


def a_day(page: Page) -> None:
    """The memory of a tab over a day of events, one a second."""
    with PageServer(Recorder("get", Large())) as server:
        page.goto(server.url)
        page.locator("#server-rows > div").nth(SERVERS - 1).wait_for()
        two_hours, day = page.evaluate(_DAY, server.url)
        print(f"memory of the tab: {two_hours:.1f} MB after two hours, {day:.1f} MB after a day")


def watched(page: Page, folder: Path, size: str, runs: int) -> None:
    """A download with and without a page that is open, in turns."""
    command = (sys.executable, "-m", "regather")
    file = folder / "file.bin"
    subprocess.run([*command, "generate", str(file), "--size", size, "-q"], check=True)
    split = [
        *command,
        "split",
        file,
        "--out",
        folder / "hosted",
        "--fragments",
        "4",
        "--servers",
        "4",
        "-q",
    ]
    subprocess.run([*map(str, split)], check=True)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    cpu: dict[bool, list[float]] = {False: [], True: []}
    with Cluster(server_folders(folder / "hosted")) as cluster:
        manifest = next((folder / "hosted" / "server1").glob("*.json"))
        servers = [word for url in cluster.urls for word in ("--server", url)]
        for run in range(2 * runs):
            page_open = bool(run % 2)
            words = [
                *command,
                "get",
                manifest,
                *servers,
                "-o",
                folder / f"copy{run}",
                "--json",
                "--no-sync",
            ]
            if page_open:
                words += ["--page"]
            with subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                for line in process.stdout:
                    said = json.loads(line)
                    if said["event"] == "page":
                        page.goto(said["url"])
                    if said["event"] == "done":
                        seconds[page_open].append(said["seconds"])
                _, _, used = os.wait4(process.pid, 0)
                process.returncode = 0
                cpu[page_open].append(used.ru_utime + used.ru_stime)
            (folder / f"copy{run}").unlink()
    for what, of in (("in", seconds), ("CPU time of the command in", cpu)):
        _compare(f"{size} {what}", of)


def _compare(what: str, of: dict[bool, list[float]]) -> None:
    without, with_page = (statistics.median(of[key]) for key in (False, True))
    change = 100 * (with_page / without - 1)
    print(f"{what} {without:.2f} s without a page, {with_page:.2f} s with one: {change:+.1f} %")


def main() -> None:
    """Measure all of it; the arguments are a size and a number of runs."""
    size, runs = (*sys.argv[1:], *("4GiB", "5")[len(sys.argv) - 1 :])
    server_side()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        in_a_browser(page)
        a_day(page)
        watched(page, Path(folder), size, int(runs))
        browser.close()


if __name__ == "__main__":
    main()
