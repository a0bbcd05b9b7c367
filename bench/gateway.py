"""Reading through ``regather gateway``, beside nginx that serves the plain file on this machine.

The sources of the gateway are three servers with a third of the fragments each.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.net import free_port
from tests.support.nginx import Nginx

from bench import tools
from bench.data import Original, differs, empty
from bench.model import MIB, Result, Row, Sample, Section
from bench.process import ROOT, environment
from bench.rounds import Bench, comparison, limit_for, ratio, run_rounds, say
from bench.servers import BareGateway, OwnGateway, OwnServer
from bench.transfer import Site, split_for_servers

GATEWAY = "gateway"
STREAM, STREAMS, COLD, FAST, RANGE = (
    f"{GATEWAY}-{name}" for name in ("stream", "streams", "cold", "fast", "range")
)
NAMES = {
    GATEWAY: (
        *(STREAM, f"{STREAM}-nginx", f"{STREAM}-null", f"{STREAM}-null-nginx"),
        *(STREAMS, f"{STREAMS}-nginx", COLD, f"{COLD}-floor", f"{COLD}-get"),
        *(FAST, f"{FAST}-alone", RANGE),
    )
}
_STREAMS = 64
_READERS = 1000
_SLOW = 4_000_000
"""Bytes a second of each source of a cold range: a piece then takes longer than all the rest."""


def gateway(bench: Bench) -> list[Section]:
    """Measure the rows, each kind in a table of its own."""
    if not bench.wants_any(NAMES) or not bench.has("nginx", "curl"):
        return []
    original = bench.original
    place = bench.scratch.memory / GATEWAY
    site = split_for_servers(original, place / "site")
    try:
        kinds = {STREAM: _stream, STREAMS: _streams, COLD: _cold, FAST: _fast, RANGE: _range}
        groups = _Rows(bench, original, site, place)
        made = [
            section
            for name, measure in kinds.items()
            if any(bench.wants(GATEWAY, row) for row in NAMES[GATEWAY] if _is_of(row, name))
            for section in measure(groups)
        ]
        if site.problem:
            made[0].notes.append(site.problem)
        return made
    finally:
        shutil.rmtree(place)


def _is_of(row: str, kind: str) -> bool:
    return row == kind or row.startswith(f"{kind}-")


class _Rows:
    """What all kinds of rows work with."""

    def __init__(self, bench: Bench, original: Original, site: Site, place: Path) -> None:
        self.bench, self.original, self.site, self.place = bench, original, site, place
        self.out = bench.scratch.memory / "out"
        self.dest = self.out / original.path.name

    def sources(self, stack: ExitStack) -> list[str]:
        """Three servers, as long as the stack is open."""
        return [stack.enter_context(Nginx(root)).url for root in self.site.roots]

    def nginx(self, stack: ExitStack) -> str:
        """Address of the file at an nginx."""
        url = stack.enter_context(Nginx(self.original.path.parent)).url
        return url + self.original.path.name

    def cached(self, urls: list[str], port: int = 0) -> OwnGateway:
        """A gateway with an empty cache that is large enough."""
        cache = self.place / "cache"
        empty(cache)
        how = ("--cache", str(cache), "--cache-size", str(2 * self.original.size + 64 * MIB))
        return OwnGateway(self.site.manifest, urls, *how, "--free-space", "0.0001", port=port)

    def bare(self, files: list[str], port: int) -> BareGateway:
        """The least that a gateway can do, for one client."""
        cache = self.place / "cache"
        empty(cache)
        return BareGateway(cache / "pieces", self.original.size, files, port)

    def row(self, name: str, label: str, command: list[str], **other: Callable[[], str]) -> Row:
        """One that brings the file to where all bring it, or what ``check`` looks at."""
        check = other.get("check", lambda: differs(self.original.path, [self.dest]))
        return Row(name, label, tuple(command), self.original.size, lambda: empty(self.out), check)

    def results(self, rows: list[Row], run: Callable[[Row], Sample] | None = None) -> list[Result]:
        """Measure those that are wanted."""
        wanted = self.bench.pick(GATEWAY, rows)
        return run_rounds(GATEWAY, wanted, self.bench.runs, run or self.bench.measure)


def _hold(section: Section, metric: str, faster: str, slower: str) -> None:
    """Note the speed of the second, of the first: how much longer the first took."""
    value = ratio({one.name: one for one in section.results}, faster, slower)
    if value is not None:
        section.metrics[metric] = value


def _stream(rows: _Rows) -> list[Section]:
    with ExitStack() as stack:
        plain = rows.nginx(stack)
        ours = stack.enter_context(rows.cached(rows.sources(stack))).url + rows.dest.name
        made = []
        for whose, label, url in (
            ("", "gateway, from its cache", ours),
            ("-nginx", "nginx, the plain file", plain),
        ):
            to_file, to_nothing = (tools.curl(url, dest) for dest in (rows.dest, Path("/dev/null")))
            made.append(rows.row(f"{STREAM}{whose}", label, to_file))
            made.append(rows.row(f"{STREAM}-null{whose}", label, to_nothing, check=str))
        results = rows.results(made)
    sections = []
    for title, kind in (("a file", STREAM), ("/dev/null (not compared)", f"{STREAM}-null")):
        mine = [one for one in results if one.name in (kind, f"{kind}-nginx")]
        reference = [("nginx", f"{kind}-nginx")]
        section = comparison(f"One stream from a gateway, by curl to {title}", mine, reference)
        _hold(section, kind, f"{kind}-nginx", kind)
        sections.append(section)
    return sections


def _streams(rows: _Rows) -> list[Section]:
    """Each stream has its own part of the file, so that all outputs together are the file."""
    step = -(-rows.original.size // _STREAMS)
    parts = [rows.out / f"part{n}" for n in range(_STREAMS)]

    def command(url: str) -> list[str]:
        words = ["curl", "-q", "-Z", "--parallel-immediate", "--parallel-max", str(_STREAMS)]
        for n, part in enumerate(parts):
            words += ["--next"] * bool(n)
            words += ["-sSf", "-r", f"{n * step}-{(n + 1) * step - 1}", "-o", str(part), url]
        return words

    with ExitStack() as stack:
        plain = rows.nginx(stack)
        ours = stack.enter_context(rows.cached(rows.sources(stack))).url + rows.dest.name
        made = [
            rows.row(name, label, command(url), check=lambda: differs(rows.original.path, parts))
            for name, label, url in (
                (STREAMS, "gateway, from its cache", ours),
                (f"{STREAMS}-nginx", "nginx, the plain file", plain),
            )
        ]
        results = rows.results(made)
    section = comparison(
        f"{_STREAMS} streams at once (curl -Z)", results, [("nginx", f"{STREAMS}-nginx")]
    )
    _hold(section, STREAMS, f"{STREAMS}-nginx", STREAMS)
    return [section]


def _cold(rows: _Rows) -> list[Section]:
    """The gateway is a new one for each run, with an empty cache."""
    port = free_port()
    with ExitStack() as stack:
        sources = rows.sources(stack)
        files = [url + rows.dest.name for url in sources]

        def run(row: Row) -> Sample:
            if row.name == f"{COLD}-get":
                return rows.bench.measure(row)
            with rows.cached(sources, port) if row.name == COLD else rows.bare(files, port):
                return rows.bench.measure(row)

        curl = tools.curl(f"http://127.0.0.1:{port}/{rows.dest.name}", rows.dest)
        made = [
            rows.row(COLD, "curl, from a gateway that has nothing yet", curl),
            rows.row(
                f"{COLD}-floor", "curl, from a bare loop (receive, BLAKE3, pwrite, send)", curl
            ),
            rows.row(
                f"{COLD}-get", "regather get", tools.get(rows.site.manifest, sources, rows.dest)
            ),
        ]
        results = rows.results(made, run)
    references = [("get", f"{COLD}-get"), ("floor", f"{COLD}-floor")]
    section = comparison("The whole file through a new gateway", results, references)
    _hold(section, COLD, f"{COLD}-get", COLD)
    _hold(section, f"{COLD}/floor", COLD, f"{COLD}-floor")
    return [section]


@contextmanager
def _slow_readers(url: str) -> Iterator[None]:
    """So many clients at different places of the file, a kilobyte a second each."""
    command = [sys.executable, "-m", "bench.slow_readers", url, str(_READERS)]
    process = subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        if process.stdout.readline() != b"all read\n":
            raise RuntimeError("the slow readers did not start")
        yield
        if process.poll() is not None:
            raise RuntimeError("a slow reader lost its connection")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _fast(rows: _Rows) -> list[Section]:
    with ExitStack() as stack:
        server = stack.enter_context(rows.cached(rows.sources(stack)))
        url = server.url + rows.dest.name

        def run(row: Row) -> Sample:
            if row.name != FAST:
                return rows.bench.measure(row)
            with _slow_readers(url):
                return rows.bench.measure(row)

        labels = {FAST: f"beside {_READERS} readers of 1 kB/s", f"{FAST}-alone": "alone"}
        made = [
            rows.row(name, f"one fast reader {label}", tools.curl(url, rows.dest))
            for name, label in labels.items()
        ]
        results = rows.results(made, run)
        peak = server.peak_rss
    section = comparison(
        "A fast reader of a gateway beside slow ones", results, [("alone", f"{FAST}-alone")]
    )
    _hold(section, FAST, f"{FAST}-alone", FAST)
    if FAST in {one.name for one in results}:
        section.metrics[f"{GATEWAY}-rss"] = peak
        section.notes.append(f"Peak memory of the gateway over all runs: {peak / MIB:.0f} MiB.")
    return [section]


def _range(rows: _Rows) -> list[Section]:
    """From the request to the first byte, in the times that a piece takes from its source."""
    at = rows.original.size * 99 // 100
    seconds: list[float] = []
    with ExitStack() as stack:
        fault = f"slow:{_SLOW}"
        servers = [OwnServer(root, fault=fault) for root in rows.site.roots]
        urls = [stack.enter_context(server).url for server in servers]
        piece = min(MIB, rows.original.size) / _SLOW
        for turn in range(rows.bench.runs + 1):
            say(f"{RANGE}: {f'run {turn} of {rows.bench.runs}' if turn else 'warm-up'}")
            with rows.cached(urls) as server:
                got = subprocess.run(
                    [
                        *("curl", "-q", "-sSf", "-r", f"{at}-{at + 999}", "-o", "/dev/null"),
                        *("-w", "%{time_starttransfer}", server.url + rows.dest.name),
                    ],
                    capture_output=True,
                    check=True,
                    timeout=limit_for(rows.original.size),
                )
            if turn:
                seconds.append(float(got.stdout))
    median = statistics.median(seconds)
    section = Section(
        "The first byte of a range at 99 % of the file, from a new gateway",
        ["", "seconds", "from - to", "time of a piece", "in times of a piece"],
        [
            [
                f"three sources of {_SLOW / 1e6:g} MB/s",
                f"{median:.3f}",
                f"{min(seconds):.3f} - {max(seconds):.3f}",
                f"{piece:.3f}",
                f"{median / piece:.2f}",
            ]
        ],
        metrics={RANGE: median / piece},
    )
    return [section]
