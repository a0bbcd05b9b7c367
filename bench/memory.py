"""What must not grow with the file: the memory of a plan, and of every job with parity (4+2)."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.support.net import free_port

from bench import tools
from bench.data import Original, differs, empty, fragments, generate, parity_differs
from bench.model import GIB, Result, Section
from bench.process import measure
from bench.rounds import Bench, comparison, limit_for, say
from bench.scratch import available, filesystem
from bench.servers import OwnServer

MEMORY = "memory"
_PLAN = "plan-memory"
_CODED = ("split-memory", "degraded-memory", "repair-memory")
NAMES = {MEMORY: (_PLAN, *_CODED)}
_LOST = (0, 2)
"""Servers of data fragments: dead while it is downloaded, emptied before it is repaired."""
_MOST_RANDOM = 4 * GIB
"""Larger files are of zeros, and holes where they can be."""
_STEP = GIB // 4


def memory(bench: Bench) -> list[Section]:
    """Measure what is wanted."""
    sections = []
    if bench.wants(MEMORY, _PLAN):
        sections.append(_plan())
    if any(bench.wants(MEMORY, name) for name in _CODED) and bench.coded:
        sections.append(_coded(bench))
    return sections


def _plan() -> Section:
    """Run ``bench.plan_memory`` and report what it says and takes."""
    say(f"{MEMORY}: a plan")
    sample = measure([sys.executable, "-m", "bench.plan_memory"], limit=limit_for(GIB))
    result = Result(_PLAN, "python -m bench.plan_memory", samples=[sample])
    if sample.problem:
        result.problem = f"FAILED: {sample.problem}"
    section = comparison("Memory of the manifest and the plan of a huge file", [result], [])
    section.notes += sample.output.splitlines()[-5:]
    return section


def _coded(bench: Bench) -> Section:
    """Split, download with two dead servers, and repair: each once, for each size."""
    results: list[Result] = []
    notes: list[str] = []
    for wanted in sorted(bench.coded):
        place, size = _place(bench, wanted)
        shown = f"{size / GIB:g} GiB"
        if size < wanted:
            notes.append(f"Room for {shown} only, instead of {wanted / GIB:g} GiB.")
        if size:
            content = "random bytes" if size <= _MOST_RANDOM else "zeros, mostly holes"
            notes.append(f"{shown}: {content}, {filesystem(place)} to {filesystem(place)}.")
            results += _one_size(bench, place / "coded", size, shown)
    section = comparison(
        "Memory with parity 4+2: six servers of ours, two of them dead or emptied", results, []
    )
    section.notes += notes
    peaks = [result.peak_rss for result in results if result.ok]
    if peaks:
        section.metrics["coded-memory"] = max(peaks)
    return section


def _place(bench: Bench, size: int) -> tuple[Path, int]:
    """The folder that has room for such a file, and the greatest size up to it that fits there."""
    folders = (bench.scratch.memory, bench.scratch.disk)
    for folder in folders:
        if available(folder) >= _room(size):
            return folder, size
    roomy = max(folders, key=available)
    while size > 0 and available(roomy) < _room(size):
        size -= _STEP
    return roomy, max(size, 0)


def _room(size: int) -> float:
    """Bytes that it takes at most: fragments, and besides them the file and a copy, or holes."""
    return size * (3.6 if size <= _MOST_RANDOM else 1.6)


def _one_size(bench: Bench, folder: Path, size: int, shown: str) -> list[Result]:
    folder.mkdir()
    try:
        return _Jobs(bench, folder, size, shown).run()
    finally:
        shutil.rmtree(folder)


class _Jobs:
    """The three jobs with one file, each with what the one before it left."""

    def __init__(self, bench: Bench, folder: Path, size: int, shown: str) -> None:
        self._bench = bench
        self._shown = shown
        self._sparse = size > _MOST_RANDOM
        self._folder = folder
        path = folder / "file.bin"
        if self._sparse:
            with path.open("wb") as file:
                file.truncate(size)
            self._original = Original(path, size, "", ())
        else:
            self._original = generate(path, size)
        self._out = folder / "hosted"
        self._copy = folder / "got" / "copy.bin"
        self._token = folder / "token"
        self._token.write_text("for-this-benchmark\n")
        self._token.chmod(0o600)

    def run(self) -> list[Result]:
        """Measure those that are wanted; the split is needed for all."""
        split = self._measure("split", tools.split_coded(self._original.path, self._out), self._cut)
        results = [split]
        if split.ok:
            self._hollow()
            with ExitStack() as stack:
                urls = [
                    stack.enter_context(
                        OwnServer(self._out / f"server{number}", write_token=self._token)
                    ).url
                    for number in range(1, 7)
                ]
                if self._bench.wants(MEMORY, "degraded-memory"):
                    results.append(self._download(urls))
                    shutil.rmtree(self._copy.parent)
                if self._bench.wants(MEMORY, "repair-memory"):
                    results.append(self._repair(urls))
        return [r for r in results if not r.ok or self._bench.wants(MEMORY, r.name)]

    def _download(self, urls: list[str]) -> Result:
        servers = [
            f"http://127.0.0.1:{free_port()}/" if number in _LOST else url
            for number, url in enumerate(urls)
        ]
        empty(self._copy.parent)
        command = tools.get(self._manifest, servers, self._copy)
        return self._measure(
            "degraded", command, lambda: differs(self._original.path, [self._copy])
        )

    def _repair(self, urls: list[str]) -> Result:
        for number in _LOST:
            for path in (self._out / f"server{number + 1}").glob("*.dat"):
                path.unlink()
        command = tools.repair(self._manifest, urls, self._token, self._folder)
        return self._measure("repair", command, self._cut)

    @property
    def _manifest(self) -> Path:
        return self._out / f"{self._original.path.name}.regather.json"

    def _cut(self) -> str:
        return differs(self._original.path, fragments(self._out)) or parity_differs(self._out)

    def _hollow(self) -> None:
        """Make the fragments of zeros holes: they read the same and take no room."""
        for path in self._out.glob("server*/*.dat") if self._sparse else ():
            size = path.stat().st_size
            os.truncate(path, 0)
            os.truncate(path, size)

    def _measure(self, job: str, command: list[str], check: Callable[[], str]) -> Result:
        label = f"regather {'get, two dead' if job == 'degraded' else job}, {self._shown}"
        say(f"{MEMORY}: {label}")
        size = self._original.size
        result = Result(f"{job}-memory", label, size)
        sample = measure(command, limit=3 * limit_for(size))
        if sample.problem:
            result.problem = f"FAILED: {sample.problem}"
        elif wrong := check():
            result.problem = f"WRONG: {wrong}"
        else:
            result.samples.append(sample)
        return result
