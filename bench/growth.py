"""How the time of a download grows with the file; and how long it takes to start."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.support.nginx import Nginx

import regather
from bench import tools
from bench.data import Original, differs, empty
from bench.model import GIB, MIB, Result, Row, Section
from bench.rounds import SLOW_RUNS, Bench, comparison, ratio, run_rounds, say
from bench.scratch import available, filesystem
from bench.servers import OwnServer
from bench.transfer import note_memory, split_for_servers

SCALING, START = "scaling", "start"
NAMES = {
    SCALING: ("regather-scaling", "floor-scaling", "curl-scaling"),
    START: ("tiny", "version", "python"),
}
_FLOOR_SIZE = 4 * GIB
"""At which the floor is measured too, where the sizes have it."""
_START_RUNS = 10
_ROOM = 1.05
"""How much room a file needs while it is split or downloaded, in times its size."""


def growth(bench: Bench) -> list[Section]:
    """Measure growth and start-up."""
    sections = []
    if bench.wants_any({SCALING: NAMES[SCALING]}) and bench.scaling:
        sections.append(_scaling(bench))
    if bench.wants_any({START: NAMES[START]}):
        sections.append(_start(bench))
    return sections


def _place(bench: Bench) -> tuple[Path, list[int]]:
    """Return one folder for all sizes, in memory if the largest fits, and the sizes that fit."""
    sizes = sorted(bench.scaling)
    while sizes:
        for folder in (bench.scratch.memory, bench.scratch.disk):
            if available(folder) >= sizes[-1] * _ROOM:
                return folder, sizes
        sizes.pop()
    return bench.scratch.disk, []


def _hollow(folder: Path) -> None:
    """Replace the fragments of a file of zeros by holes: they read the same and take no room."""
    for root in folder.glob("server*"):
        for path in root.glob("file_fragment_*.dat"):
            size = path.stat().st_size
            os.truncate(path, 0)
            os.truncate(path, size)


def _once(check: Callable[[], str]) -> Callable[[], str]:
    pending = [check]
    return lambda: pending.pop()() if pending else ""


def _scaling(bench: Bench) -> Section:
    place, sizes = _place(bench)
    folder, out = place / "scaling", place / "out"
    folder.mkdir()
    rows: list[Row] = []
    failed: list[Result] = []
    try:
        with ExitStack() as stack:
            for size in sizes if bench.has("nginx") else []:
                label = f"regather get, {size / GIB:g} GiB"
                say(f"{SCALING}: splitting {size / GIB:g} GiB of zeros")
                home = folder / str(size)
                home.mkdir()
                original = Original(home / "file.bin", size, "", ())
                with original.path.open("wb") as file:
                    file.truncate(size)
                site = split_for_servers(original, home / "site")
                if site.problem:
                    failed.append(
                        Result("regather-scaling", label, problem=f"FAILED: {site.problem}")
                    )
                    continue
                _hollow(site.roots[0].parent)
                urls = [stack.enter_context(Nginx(root)).url for root in site.roots]
                rows += _scaling_rows(bench, original, site.manifest, urls, out)
            runs = min(bench.runs, SLOW_RUNS)
            results = run_rounds(SCALING, rows, runs, bench.measure)
    finally:
        shutil.rmtree(folder)
    section = comparison(
        f"Growth: files of zeros from nginx, {filesystem(place)} to {filesystem(place)}",
        [*results, *failed],
        [],
    )
    section.headers.append("wall s / GiB")
    for line, result in zip(section.rows, section.results, strict=True):
        line.append(f"{result.wall / (result.size / GIB):.3f}" if result.ok else "-")
    by_name = {result.name: result for result in results}
    for peer, least in (("curl", 4 * GIB), ("floor", _FLOOR_SIZE)):
        shares = [
            share
            for size in sizes
            if size >= least
            for share in [ratio(by_name, f"regather-{_mark(size)}", f"{peer}-{_mark(size)}")]
            if share is not None
        ]
        if shares:
            section.metrics[f"growth/{peer}"] = max(shares)
    left_out = [size for size in bench.scaling if size not in sizes]
    if left_out:
        shown = ", ".join(f"{size / GIB:g}" for size in left_out)
        section.notes.append(f"Left out for want of space: {shown} GiB.")
    note_memory(section)
    return section


def _mark(size: int) -> str:
    return f"scaling-{size // MIB}"


def _scaling_rows(
    bench: Bench, original: Original, manifest: Path, urls: list[str], out: Path
) -> list[Row]:
    dest, size = out / original.path.name, original.size
    files = [url + original.path.name for url in urls]
    commands = {"regather": ("regather get", tools.get(manifest, urls, dest))}
    if size == _FLOOR_SIZE:
        commands["floor"] = ("floor", tools.floor(files, dest, size))
    if size >= 4 * GIB and bench.has("curl"):
        commands["curl"] = ("curl, unverified", tools.curl(files[0], dest))
    return [
        Row(
            name=f"{name}-{_mark(size)}",
            label=f"{label}, {size / GIB:g} GiB",
            command=tuple(command),
            size=size,
            prepare=lambda: empty(out),
            check=_once(lambda: differs(original.path, [dest])),
        )
        for name, (label, command) in commands.items()
        if bench.wants(SCALING, f"{name}-scaling")
    ]


def _start(bench: Bench) -> Section:
    folder = bench.scratch.memory / "start"
    hosted, out = folder / "hosted", folder / "out"
    empty(hosted)
    (folder / "tiny").write_bytes(bytes(range(250)) * 12)
    regather.split(folder / "tiny", hosted)
    try:
        with OwnServer(hosted) as server:
            return _started(bench, f"{server.url}tiny.regather.json", out)
    finally:
        shutil.rmtree(folder)


def _started(bench: Bench, url: str, out: Path) -> Section:
    regather_ = tools.find_regather() or "regather"
    get = (regather_, "get", url, "-o", str(out / "tiny"), "--quiet")
    commands = {
        "tiny": ("regather get of 3 kB, manifest and data over HTTP", get),
        "version": ("regather --version", (regather_, "--version")),
        "python": ("python -c pass, for comparison", (sys.executable, "-c", "pass")),
    }
    rows = [
        Row(name, label, command, 0, prepare=lambda: empty(out), check=lambda: "")
        for name, (label, command) in commands.items()
    ]
    results = run_rounds(START, bench.pick(START, rows), _START_RUNS, bench.measure)
    section = comparison(f"Start-up, {_START_RUNS} runs", results, [("python", "python")])
    for result in results:
        if result.name != "python" and result.ok:
            section.metrics[result.name] = result.wall
    return section
