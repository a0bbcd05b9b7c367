"""What the page costs: ``python -m bench.page``.

Prints how long the server needs for a second of a file of 262144 pieces on 100 servers, how large
its messages are, how long a browser needs for the first state and for each frame, and how much
slower a download is that is watched, and how soon it shows that a server is gone, and back.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import sys
import tempfile
import time
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, ViewportSize, sync_playwright

from bench.page_downloads import outages, timed, watched
from regather.model import Fragment, FragmentIndex, Layout
from regather.page.delta import delta
from regather.page.page_server import PageServer
from regather.page.recorder import Recorder
from regather.page.samples import FileSample, Sample, ServerSample, TransferSample

SERVERS = 100
PIECES = 1 << 18
_PIECE = 1 << 20
_SECONDS = 10
_DAY_SECONDS = 86400
_PAGE = os.sysconf("SC_PAGE_SIZE")
_VIEWPORT: ViewportSize = {"width": 1440, "height": 900}
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

    def __init__(self, pieces: int = PIECES, servers: int = SERVERS) -> None:
        each = pieces // servers
        fragments = tuple(
            Fragment(FragmentIndex(n + 1), f"f{n + 1}", n * each * _PIECE, each * _PIECE)
            for n in range(servers)
        )
        self._layout = Layout(servers * each * _PIECE, _PIECE, fragments)
        self._here = bytearray(self._layout.piece_count)
        self._by = array("H", bytes(2 * len(self._here)))
        self._random = random.Random(1)
        self._left = list(range(len(self._here)))
        self._random.shuffle(self._left)
        self._received = [0] * servers
        self._urls = [f"http://server{n}.example/" for n in range(servers)]

    def sample(self) -> Sample:
        """One second later: 5000 more pieces, all over the file."""
        for number in self._left[-5000:]:
            source = self._random.randrange(len(self._urls))
            self._here[number], self._by[number] = 1, source + 1
            self._received[source] += _PIECE
        del self._left[-5000:]
        done, count = sum(self._received), len(self._urls)
        file = FileSample(
            name="large.bin",
            layout=self._layout,
            here=bytes(self._here),
            servers=self._urls,
            holdings=[frozenset((n, (n + 1) % count)) for n in range(count)],
            deliverers=self._by,
            reading=[(n, self._random.choice((n, (n + 1) % count)), 0, 16) for n in range(count)],
        )
        servers = [
            ServerSample(
                url,
                heard=bytes_,
                received=bytes_,
                useful=bytes_,
                connections=2,
                latency=0.01,
            )
            for url, bytes_ in zip(self._urls, self._received, strict=True)
        ]
        transfer = TransferSample("large.bin", self._layout.size, done, 5e9, 60.0, file=0)
        return Sample(servers=servers, files=[file], transfers=[transfer], received=done)


def server_side() -> None:
    """Milliseconds and bytes of a second."""
    recorder = Recorder("get", Large())
    records, documents, deltas, sizes = [], [], [], []
    recorder.record()
    before = recorder.document()
    for _ in range(_SECONDS):
        records.append(timed(recorder.record))
        documents.append(timed(recorder.document))
        after = recorder.document()
        deltas.append(timed(lambda: delta(before, after)))  # noqa: B023  called at once
        sizes.append(len(json.dumps(delta(before, after))))
        before = after
    print(f"record, with what is made up for it: {statistics.median(records):.1f} ms")
    print(f"document: {statistics.median(documents):.1f} ms, {len(json.dumps(before))} bytes")
    print(f"change: {statistics.median(deltas):.1f} ms, {statistics.median(sizes):.0f} bytes")


def in_a_browser(browser: Browser, folder: Path) -> None:
    """First state, and frames, in CPU time, as others use the machine."""
    page = browser.new_page(viewport=_VIEWPORT)
    with PageServer(lambda: Recorder("get", Large())) as server:
        time.sleep(2)
        trace = folder / "trace.json"
        browser.start_tracing(page=page, path=trace, categories=["toplevel", "devtools.timeline"])
        began = time.perf_counter()
        page.goto(server.url)
        page.locator("#server-rows > div").nth(SERVERS - 1).wait_for()
        print(f"first state: {1000 * (time.perf_counter() - began):.0f} ms")
        page.wait_for_timeout(1000 * _SECONDS)
        browser.stop_tracing()
    page.close()
    frames = _frames(json.loads(trace.read_bytes())["traceEvents"])
    print(
        f"{len(frames)} frames, with layout and paint: median {statistics.median(frames):.1f} ms, "
        f"most {max(frames):.1f} ms of CPU time"
    )


def _frames(events: Sequence[dict[str, Any]]) -> list[float]:
    """The milliseconds of CPU time of each task that drew a frame."""
    drawn = [one for one in events if one["name"] == "FireAnimationFrame"]
    return [
        one["tdur"] / 1000
        for one in events
        if one["name"].endswith("RunTask")
        and "tdur" in one
        and any(
            (one["pid"], one["tid"]) == (frame["pid"], frame["tid"])
            and one["ts"] <= frame["ts"] < one["ts"] + one["dur"]
            for frame in drawn
        )
    ]


_DAY = """async (root) => {
  const load = (name) => import(`${root}-/page/${name}.js`);
  const { applied } = await load("state");
  const parts = await Promise.all(["servers", "events", "graphs", "transfers"].map(load));
  const [map, pieces] = await Promise.all(["map", "pieces"].map(load));
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
    if (second % 60 === 0) {
      for (const part of parts) part.show(state);
      for (const part of [pieces, map]) part.show(state, 0);
      await new Promise(requestAnimationFrame);
    }
    if (second === 7200 || second === 86400) found.push(heap());
  }
  return found;
}"""


def a_day(browser: Browser) -> None:
    """The memory of a tab over a day: a change and an event each second, drawn each minute."""
    page = browser.new_page(viewport=_VIEWPORT)
    with PageServer(lambda: Recorder("get", Large())) as server:
        page.goto(server.url)
        page.locator("#server-rows > div").nth(SERVERS - 1).wait_for()
        _compared("memory of the tab, MB", *page.evaluate(_DAY, server.url))
    page.close()


def a_day_of_the_server() -> None:
    """The memory of the server over a day: an event, a document and a change each second."""
    now = [0.0]
    subject = Large(5000, 5)
    recorder = Recorder("get", subject, clock=lambda: now[0], wall=lambda: now[0])
    before: dict[str, Any] | None = None
    found = []
    for second in range(_DAY_SECONDS):
        now[0] = float(second)
        recorder.events.add(f"event {second}", servers=(f"http://server{second % 9}.example/",))
        recorder.record()
        document = recorder.document()
        if before is not None:
            delta(before, document)
        before = document
        if second in (_DAY_SECONDS // 12, _DAY_SECONDS - 1):
            found.append(int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE / 1e6)
    _compared("memory of the server, MB", *found)


def _compared(what: str, two_hours: float, day: float) -> None:
    change = 100 * (day / two_hours - 1)
    print(f"{what}: {two_hours:.1f} after two hours, {day:.1f} after a day: {change:+.1f} %")


def main() -> None:
    """Measure all of it; the arguments are a size and a number of runs."""
    size, runs = (*sys.argv[1:], *("4GiB", "5")[len(sys.argv) - 1 :])
    server_side()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=_FLAGS)
        in_a_browser(browser, Path(folder))
        a_day(browser)
        a_day_of_the_server()
        page = browser.new_page(viewport=_VIEWPORT)
        watched(page, Path(folder), size, int(runs))
        outages(page, Path(folder))
        browser.close()


if __name__ == "__main__":
    main()
