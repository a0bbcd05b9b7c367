"""Downloads: from nginx in the clear, from our own servers, over TLS, and onto a disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.support.nginx import Nginx
from tests.support.tls import TlsFiles, issue

from bench import tools
from bench.data import Original, differs, empty
from bench.model import Result, Row, Section
from bench.process import measure
from bench.rounds import Bench, comparison, limit_for, ratio, run_rounds, say
from bench.servers import OwnServer

LOOPBACK, TLS, DISK = "loopback", "tls", "disk"
NAMES = {
    LOOPBACK: (
        *("regather", "regather-own", "floor", "aria2c", "aria2c-default", "aria2c-sha256"),
        *("aria2c-metalink", "axel", "wget2", "curl", "cp"),
    ),
    TLS: ("regather-tls", "floor-tls", "aria2c-tls", "curl-tls"),
    DISK: ("regather-disk", "aria2c-disk", "curl-disk", "cp-disk"),
}
SERVERS = 3


@dataclass(frozen=True, slots=True)
class Site:
    """What the servers serve."""

    roots: tuple[Path, ...]
    """One folder a server: a third of the fragments, and the whole file for the peers."""
    manifest: Path
    problem: str
    """Why there are no fragments."""


def split_for_servers(original: Original, folder: Path, *, replicas: int = 1) -> Site:
    """Split ``original`` into ``folder``; the manifest lies apart from the fragments."""
    out = folder / "split"
    folder.mkdir(parents=True)
    command = tools.split(original.path, out, replicas=replicas)
    sample = measure(command, limit=limit_for(original.size))
    roots = tuple(out / f"server{number}" for number in range(1, SERVERS + 1))
    for root in roots:
        root.mkdir(parents=True, exist_ok=True)
        os.link(original.path, root / original.path.name)
    manifest = folder / f"{original.path.name}.regather.json"
    made = out / manifest.name
    problem = f"regather split: {sample.problem}" if sample.problem else ""
    if made.exists():
        made.rename(manifest)
    elif not problem:
        problem = f"regather split wrote no {made.name}"
    return Site(roots, manifest, problem)


class _Rows:
    """Makes the rows of one group: all bring the same file to the same place."""

    def __init__(self, original: Original, out: Path) -> None:
        self._original = original
        self.dest = out / original.path.name
        self.made: list[Row] = []

    def add(self, name: str, label: str, command: Sequence[str], variant: str = "") -> None:
        self.made.append(
            Row(
                name=name,
                label=label,
                command=tuple(command),
                size=self._original.size,
                prepare=lambda: empty(self.dest.parent),
                check=lambda: differs(self._original.path, [self.dest]),
                variant=variant,
            )
        )


def transfers(bench: Bench) -> list[Section]:
    """Measure the three groups of downloads."""
    groups = {LOOPBACK: _loopback, TLS: _tls, DISK: _disk}
    wanted = [group for group in groups if bench.wants_any({group: NAMES[group]})]
    if not wanted:
        return []
    original = bench.original
    say("splitting it for three servers")
    site = split_for_servers(original, bench.scratch.memory / "site")
    sections = []
    for group in wanted:
        section = groups[group](bench, original, site)
        if site.problem:
            section.notes.append(site.problem)
        if not bench.has("nginx"):
            section.notes.append("nginx is not installed: nothing was measured against it.")
        sections.append(section)
    shutil.rmtree(site.manifest.parent)
    return sections


def _nginx_urls(
    bench: Bench, stack: ExitStack, site: Site, certificates: TlsFiles | None = None
) -> list[str]:
    if not bench.has("nginx"):
        return []
    return [stack.enter_context(Nginx(root, tls=certificates)).url for root in site.roots]


def _loopback(bench: Bench, original: Original, site: Site) -> Section:
    rows = _Rows(original, bench.scratch.memory / "out")
    dest = rows.dest
    failed: list[Result] = []
    with ExitStack() as stack:
        urls = _nginx_urls(bench, stack, site)
        if urls:
            files = [url + original.path.name for url in urls]
            rows.add("regather", "regather get, verified", tools.get(site.manifest, urls, dest))
        if bench.wants(LOOPBACK, "regather-own"):
            name, label = "regather-own", "regather get, verified, our own servers"
            try:
                own = [stack.enter_context(OwnServer(root)).url for root in site.roots]
                rows.add(name, label, tools.get(site.manifest, own, dest))
            except (OSError, RuntimeError, ValueError) as error:
                failed.append(Result(name, label, problem=f"FAILED: {error}"))
        if urls:
            rows.add(
                "floor", "floor (receive, BLAKE3, pwrite)", tools.floor(files, dest, bench.size)
            )
            _aria2c_rows(bench, rows, original, files)
            if bench.has("axel"):
                rows.add("axel", "axel -n6, unverified", tools.axel(files, dest))
            if bench.has("wget2"):
                rows.add("wget2", "wget2, unverified", tools.wget2(files[0], dest))
            if bench.has("curl"):
                rows.add("curl", "curl, unverified", tools.curl(files[0], dest))
        rows.add("cp", "cp", ["cp", str(original.path), str(dest)])
        results = run_rounds(LOOPBACK, bench.pick(LOOPBACK, rows.made), bench.runs, bench.measure)
    section = comparison(
        "Download from three servers on loopback, memory to memory",
        [*results, *failed],
        [("aria2c", "aria2c"), ("floor", "floor")],
    )
    _metrics(section)
    return section


def _aria2c_rows(bench: Bench, rows: _Rows, original: Original, files: Sequence[str]) -> None:
    if not bench.has("aria2c"):
        return
    dest = rows.dest
    metalink = bench.scratch.memory / "file.meta4"
    tools.write_metalink(metalink, original, files)
    checksum = f"--checksum=sha-256={original.sha256}"
    for variant in tools.ARIA2C_VARIANTS:
        plain = tools.aria2c(files, dest, options=[*tools.ARIA2C_TUNING, *variant])
        rows.add("aria2c", "aria2c, 3 mirrors, unverified", plain, " ".join(variant))
    options = [*tools.ARIA2C_TUNING, *variant]
    hashed = tools.aria2c(files, dest, options=[*options, checksum])
    pieces = tools.aria2c_metalink(metalink, dest.parent, options)
    rows.add("aria2c-sha256", "aria2c, checksum sha-256", hashed)
    rows.add("aria2c-metalink", "aria2c, Metalink, 8 MiB piece sha-256", pieces)
    untuned = tools.aria2c(files, dest, options=tools.ARIA2C_VARIANTS[0])
    rows.add("aria2c-default", "aria2c, not tuned, unverified", untuned)


def _metrics(section: Section) -> None:
    results = {result.name: result for result in section.results}
    for metric, reference in (
        ("wall/aria2c", "aria2c"),
        ("wall/aria2c-sha256", "aria2c-sha256"),
        ("wall/floor", "floor"),
        ("wall/curl", "curl"),
    ):
        value = ratio(results, "regather", reference)
        if value is not None:
            section.metrics[metric] = value
    throughput = ratio(results, "regather", "regather-own")  # the longer, the slower
    if throughput is not None:
        section.metrics["own/nginx"] = throughput
    ours, theirs = results.get("regather"), results.get("aria2c")
    if ours and theirs and ours.ok and theirs.ok:
        section.metrics["cpu/aria2c"] = ours.cpu / theirs.cpu
    note_memory(section)


def note_memory(section: Section) -> None:
    """Hold the peak memory of our downloads in this section against its goal."""
    ours = [r.peak_rss for r in section.results if r.ok and r.name.startswith("regather")]
    if ours:
        section.metrics["rss"] = max(ours)


def _tls(bench: Bench, original: Original, site: Site) -> Section:
    rows = _Rows(original, bench.scratch.memory / "out")
    dest = rows.dest
    certificates = issue(bench.scratch.memory / "tls")
    authority = certificates.authority
    with ExitStack() as stack:
        urls = _nginx_urls(bench, stack, site, certificates)
        if urls:
            files = [url + original.path.name for url in urls]
            ours = tools.get(site.manifest, urls, dest, authority=authority)
            rows.add("regather-tls", "regather get, verified", ours)
            bare = tools.floor(files, dest, bench.size, authority=authority)
            rows.add("floor-tls", "floor (receive TLS, BLAKE3, pwrite)", bare)
            if bench.has("aria2c"):
                for variant in tools.ARIA2C_VARIANTS:
                    options = [*tools.ARIA2C_TUNING, *variant]
                    theirs = tools.aria2c(files, dest, options=options, authority=authority)
                    shown = " ".join(variant)
                    rows.add("aria2c-tls", "aria2c, 3 mirrors, unverified", theirs, shown)
            if bench.has("curl"):
                one = tools.curl(files[0], dest, authority=authority)
                rows.add("curl-tls", "curl, unverified", one)
        results = run_rounds(TLS, bench.pick(TLS, rows.made), bench.runs, bench.measure)
    section = comparison(
        "The same over TLS",
        results,
        [("aria2c", "aria2c-tls"), ("floor", "floor-tls"), ("curl", "curl-tls")],
    )
    by_name = {result.name: result for result in results}
    for name in ("aria2c", "floor"):
        value = ratio(by_name, "regather-tls", f"{name}-tls")
        if value is not None:
            section.metrics[f"tls/{name}"] = value
    note_memory(section)
    return section


def _disk(bench: Bench, original: Original, site: Site) -> Section:
    rows = _Rows(original, bench.scratch.disk / "out")
    dest = rows.dest
    with ExitStack() as stack:
        urls = _nginx_urls(bench, stack, site)
        if urls:
            files = [url + original.path.name for url in urls]
            rows.add(
                "regather-disk", "regather get, verified", tools.get(site.manifest, urls, dest)
            )
            if bench.has("aria2c", "sync"):
                for variant in tools.ARIA2C_VARIANTS:
                    options = [*tools.ARIA2C_TUNING, *variant]
                    theirs = tools.then_fsync(tools.aria2c(files, dest, options=options), dest)
                    shown = " ".join(variant)
                    rows.add("aria2c-disk", "aria2c, unverified, fsync", theirs, shown)
            if bench.has("curl", "sync"):
                one = tools.then_fsync(tools.curl(files[0], dest), dest)
                rows.add("curl-disk", "curl, unverified, fsync", one)
        if bench.has("sync"):
            copy = tools.then_fsync(["cp", str(original.path), str(dest)], dest)
            rows.add("cp-disk", "cp, fsync", copy)
        results = run_rounds(DISK, bench.pick(DISK, rows.made), bench.runs, bench.measure)
    section = comparison(
        "Download from memory onto a disk, synced",
        results,
        [("aria2c", "aria2c-disk"), ("cp", "cp-disk")],
    )
    note_memory(section)
    return section
