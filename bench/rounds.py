"""Measure rows side by side, so that whatever drifts on the machine hits all of them alike."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import cached_property

from bench.data import Original, generate
from bench.model import MIB, Result, Row, Sample, Section
from bench.process import measure
from bench.scratch import Scratch
from bench.tools import Tool

_ZEROS = bytes(8 * MIB)
_MOST_WARM = 1200 * MIB
SLOW_RUNS = 3
"""Runs of rows that take long, so that all tables are made within 25 minutes."""


@dataclass(frozen=True)
class Bench:
    """What every group of rows works with."""

    size: int
    runs: int
    only: tuple[str, ...]
    scaling: tuple[int, ...]
    """Sizes of the sparse files, in bytes."""
    coded: tuple[int, ...]
    """Sizes of the files whose memory with parity is measured, in bytes."""
    scratch: Scratch
    tools: Mapping[str, Tool]

    @cached_property
    def original(self) -> Original:
        """The file that is downloaded, made when it is first asked for."""
        say("making the file")
        folder = self.scratch.memory / "original"
        folder.mkdir()
        return generate(folder / "file.bin", self.size)

    def has(self, *names: str) -> bool:
        """Tell whether all these tools are installed."""
        return all(name in self.tools for name in names)

    def measure(self, row: Row) -> Sample:
        """Run a row once, on memory that the machine really has.

        A virtual machine gives memory that was freed back to its host, and the next to use it
        pays for each page as if it were new: seconds of noise, by turns. So what a row will write
        is written and removed just before, outside the measurement.
        """
        warm = self.scratch.memory / "warm"
        with warm.open("wb") as file:
            for _ in range(min(row.size, _MOST_WARM) // len(_ZEROS) + 1):
                file.write(_ZEROS)
        warm.unlink()
        return measure(row.command, limit=limit_for(row.size))

    def wants(self, group: str, name: str) -> bool:
        """Tell whether ``--only`` lets this row through."""
        return not self.only or any(
            fnmatch(group, pattern) or fnmatch(name, pattern) for pattern in self.only
        )

    def wants_any(self, names: Mapping[str, Sequence[str]]) -> bool:
        """Tell whether any of these rows, named by group, is wanted."""
        return any(self.wants(group, name) for group in names for name in names[group])

    def pick(self, group: str, rows: Sequence[Row]) -> list[Row]:
        """Return the rows that are wanted."""
        return [row for row in rows if self.wants(group, row.name)]


def limit_for(size: int) -> float:
    """Return the seconds that bringing ``size`` bytes may take before it is ended."""
    return 60 + size / 10e6


def say(text: str) -> None:
    """Tell the user how far we are."""
    print(text, file=sys.stderr, flush=True)


def run_rounds(
    group: str,
    rows: Sequence[Row],
    runs: int,
    run: Callable[[Row], Sample],
) -> list[Result]:
    """Run every row once to warm up, then ``runs`` times: the first run of each, then the next.

    Each round starts with another row, so that none always follows the same. A row that fails or
    brings wrong bytes is not run again. Variants are merged into the fastest.
    """
    results = [Result(row.name, row.label, row.size) for row in rows]
    pairs = list(zip(rows, results, strict=True))
    for turn in range(runs + 1 if rows else 0):
        say(f"{group}: {f'run {turn} of {runs}' if turn else 'warm-up'}")
        start = turn % len(pairs)
        for row, result in pairs[start:] + pairs[:start]:
            if result.problem:
                continue
            row.prepare()
            sample = run(row)
            if sample.problem:
                result.problem = f"FAILED: {sample.problem}"
            elif wrong := row.check():
                result.problem = f"WRONG: {wrong}"
            elif turn:
                result.samples.append(sample)
            if result.problem:
                say(f"{group}: {row.name}: {result.problem}")
    for row in rows:
        row.prepare()
    return _merge(pairs)


def _merge(pairs: Sequence[tuple[Row, Result]]) -> list[Result]:
    by_name: dict[str, list[tuple[Row, Result]]] = {}
    for row, result in pairs:
        by_name.setdefault(row.name, []).append((row, result))
    merged = []
    for candidates in by_name.values():
        good = [pair for pair in candidates if pair[1].ok] or candidates
        row, best = min(good, key=lambda pair: pair[1].wall if pair[1].ok else 0.0)
        if row.variant:
            best.label += f" ({row.variant})"
        merged.append(best)
    return merged


def ratio(results: Mapping[str, Result], name: str, reference: str) -> float | None:
    """Return how long ``name`` took, as a multiple of ``reference``; None without either."""
    one, other = results.get(name), results.get(reference)
    if one is None or other is None or not (one.ok and other.ok):
        return None
    return one.wall / other.wall


def comparison(
    title: str, results: Sequence[Result], references: Sequence[tuple[str, str]]
) -> Section:
    """Make the usual table; ``references`` are (heading, name of the row) for the ratios."""
    by_name = {result.name: result for result in results}
    headers = ["", "wall s", "from - to", "CPU s", "CPU s / TB", "peak RSS MiB", "GB/s"]
    section = Section(title, headers + [f"wall / {heading}" for heading, _ in references])
    section.results = list(results)
    for result in results:
        if not result.ok:
            problem = result.problem.partition(":")[0] or "FAILED"
            section.rows.append([result.label, problem, *["-"] * (len(section.headers) - 2)])
            section.notes.append(f"{result.label}: {result.problem}")
            continue
        walls = [sample.wall for sample in result.samples]
        row = [
            result.label,
            f"{result.wall:.3f}",
            f"{min(walls):.2f} - {max(walls):.2f}",
            f"{result.cpu:.3f}",
            f"{result.cpu / result.size * 1e12:.0f}" if result.size else "-",
            f"{result.peak_rss / MIB:.0f}",
            f"{result.size / result.wall / 1e9:.2f}" if result.size else "-",
        ]
        for _, reference in references:
            value = ratio(by_name, result.name, reference)
            row.append("-" if value is None else f"{value:.2f}")
        section.rows.append(row)
    return section
