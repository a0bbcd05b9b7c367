"""Three sources behind links of 100, 50 and 1 Mbit/s, each host with a network stack of its own.

``python -m bench.network`` runs one case once, for whoever works on it (``--help`` tells more).
"""

from __future__ import annotations

import argparse
import math
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from tests.support.network import LinkSettings, Star, why_not
from tests.support.nginx import Nginx

from bench import tools
from bench.data import Original, differs, empty, generate
from bench.faults import written
from bench.model import MIB, Result, Row, Sample, Section
from bench.process import Running
from bench.rounds import SLOW_RUNS, Bench, limit_for, run_rounds, say
from bench.scratch import SHARED_MEMORY
from bench.servers import OwnServer
from bench.transfer import Site, split_for_servers

NETWORK = "network"
REGATHER, OWN, ARIA2C, CURL = (f"{NETWORK}-{n}" for n in ("regather", "own", "aria2c", "curl"))
NAMES = {NETWORK: (REGATHER, OWN, ARIA2C, CURL)}
LINKS = (
    LinkSettings(100e6, rtt=0.020),
    LinkSettings(50e6, rtt=0.100),
    LinkSettings(1e6, rtt=0.300),
)
SIZE = 174 * MIB
"""About 10 s at the sum of the rates."""
TAIL = 0.05
"""Share of the file whose time is told apart: the end, where slow sources are waited for."""
_LOOK_SECONDS = 0.01
_ARIA2C = (
    ("-x4", "-s12", "-k1M", "--file-allocation=none"),
    ("-x16", "-s16", "-k1M", "--file-allocation=none"),
)


def payload(links: Sequence[LinkSettings]) -> float:
    """Bytes a second that TCP can bring over all links together: what 1.0 stands for."""
    return sum(link.payload for link in links)


@dataclass(frozen=True, slots=True)
class Run:
    """One download."""

    sample: Sample
    tail: float
    """Share of the whole time that the last 5 % of the file took to be written; NaN if unknown."""


class Lab:
    """The hosts with a server each, while the ``with`` body runs."""

    def __init__(self, site: Site, name: str, links: Sequence[LinkSettings] = LINKS) -> None:
        """``name`` is that of the whole file, for those who know no fragments."""
        self._site = site
        self._name = name
        self._links = links
        self._stack = ExitStack()
        self.star = Star(links)
        self.nginx: list[str] = []
        self.own: list[str] = []

    def __enter__(self) -> Lab:
        with ExitStack() as stack:
            stack.enter_context(self.star)
            for source, root in zip(self.star.sources, self._site.roots, strict=False):
                host = source.address
                with source.namespace.entered():
                    self.nginx.append(stack.enter_context(Nginx(root, host=host)).url)
                    self.own.append(stack.enter_context(OwnServer(root, host=host)).url)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def command(self, row: str, dest: Path, options: Sequence[str] = ()) -> list[str]:
        """The command of one row; ``options`` are further ones of aria2c or ``get``."""
        files = [url + self._name for url in self.nginx]
        if row == ARIA2C:
            return tools.aria2c(files, dest, options=options)
        if row == CURL:
            return tools.curl(files[0], dest)
        urls = self.own if row == OWN else self.nginx
        return [*tools.get(self._site.manifest, urls, dest), *options]

    def run(self, command: Sequence[str], size: int) -> Run:
        """Run a download of ``size`` bytes on the client."""
        with self.star.client.entered():
            running = Running(command)
        try:
            reached = math.nan
            deadline = running.started + limit_for(size)
            while not running.ended and time.monotonic() < deadline:
                if (written(running.pid) or 0) >= size * (1 - TAIL):
                    reached = time.monotonic()
                    break
                time.sleep(_LOOK_SECONDS)
        except BaseException:
            running.stop()
            raise
        sample = running.wait(max(1.0, deadline - time.monotonic()))
        return Run(sample, 1 - (reached - running.started) / sample.wall)


def network(bench: Bench) -> list[Section]:
    """Measure the rows of this group."""
    if not bench.wants_any(NAMES):
        return []
    size = min(SIZE, bench.size)
    ideal = size / payload(LINKS)
    rates = ", ".join(f"{link.rate / 1e6:g}" for link in LINKS)
    trips = ", ".join(f"{link.rtt * 1e3:g}" for link in LINKS)
    section = Section(
        f"Links of {rates} Mbit/s with {trips} ms there and back ({size / MIB:.0f} MiB)",
        ["", "wall s", "from - to", "MB/s", "of the links", "last 5 %", "from - to"],
    )
    if reason := why_not() or ("" if bench.has("nginx") else "nginx is not installed"):
        section.notes.append(f"Not measured: {reason}")
        return [section]
    folder, dest = bench.scratch.memory / NETWORK, bench.scratch.memory / "out" / "file.bin"
    folder.mkdir()
    tails: dict[Sample, float] = {}
    try:
        original = generate(folder / "file.bin", size)
        site = split_for_servers(original, folder / "site", replicas=len(LINKS))
        with Lab(site, original.path.name) as lab:
            rows = bench.pick(NETWORK, _rows(bench, lab, original, dest))

            def run(row: Row) -> Sample:
                done = lab.run(row.command, size)
                tails[done.sample] = done.tail
                return done.sample

            say(f"{NETWORK}: {ideal:.1f} s a run at the least")
            section.results = run_rounds(NETWORK, rows, min(bench.runs, SLOW_RUNS), run)
    except (OSError, RuntimeError, ValueError) as error:
        section.results.append(Result(REGATHER, "regather get", problem=f"FAILED: {error}"))
    finally:
        shutil.rmtree(folder)
    for result in section.results:
        _add_line(section, result, ideal, [tails[s] for s in result.samples])
    section.notes.append(
        f"1.00 are {payload(LINKS) / 1e6:.2f} MB/s: the sum of the rates, times 1448/1500, the "
        "share of a full packet that is payload of TCP with time stamps over IPv4. The time of a "
        "run is that of the whole command. The last 5 %: the share of it after 95 % of the file "
        "had been written."
    )
    return [section]


def _rows(bench: Bench, lab: Lab, original: Original, dest: Path) -> list[Row]:
    def row(name: str, label: str, options: Sequence[str] = ()) -> Row:
        return Row(
            name=name,
            label=label,
            command=tuple(lab.command(name, dest, options)),
            size=original.size,
            prepare=lambda: empty(dest.parent),
            check=lambda: differs(original.path, [dest]),
            variant=" ".join(options[:-1]),
        )

    made = [
        row(REGATHER, "regather get, verified, nginx"),
        row(OWN, "regather get, verified, our own servers"),
    ]
    if bench.has("aria2c"):
        made += [row(ARIA2C, "aria2c, 3 mirrors, unverified", options) for options in _ARIA2C]
    if bench.has("curl"):
        made.append(row(CURL, "curl, from the fastest alone, unverified"))
    return made


def _add_line(section: Section, result: Result, ideal: float, tails: Sequence[float]) -> None:
    if not result.ok:
        section.rows.append([result.label, result.problem.partition(":")[0], *["-"] * 5])
        section.notes.append(f"{result.label}: {result.problem}")
        return
    walls = [sample.wall for sample in result.samples]
    share, tail = ideal / result.wall, statistics.median(tails)
    if result.name in {REGATHER, OWN}:
        section.metrics["links"] = min(share, section.metrics.get("links", share))
        section.metrics["tail"] = max(tail, section.metrics.get("tail", tail))
    section.rows.append(
        [
            result.label,
            f"{result.wall:.2f}",
            f"{min(walls):.2f} - {max(walls):.2f}",
            f"{result.size / result.wall / 1e6:.2f}",
            f"{share:.2f}",
            f"{tail:.1%}",
            f"{min(tails):.1%} - {max(tails):.1%}",
        ]
    )


# -- one case, once -----------------------------------------------------------------------------


def _links(text: str) -> tuple[LinkSettings, ...]:
    made = []
    for one in text.split(","):
        rate, rtt, *loss = (float(word) for word in one.split("/"))
        made.append(LinkSettings(rate * 1e6, rtt / 1e3, sum(loss) / 100))
    if not 1 <= len(made) <= len(LINKS):
        raise ValueError
    return tuple(made)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one case and print rate over ideal and the share of the tail; 1 where it failed."""
    parser = argparse.ArgumentParser(prog="python -m bench.network", allow_abbrev=False)
    parser.add_argument(
        "row", nargs="?", default="regather", choices=[n[8:] for n in NAMES[NETWORK]]
    )
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--mib", type=int, default=SIZE // MIB, help="size of the file")
    parser.add_argument(
        "--links", type=_links, default=LINKS, help="Mbit/s / ms[/ %% lost], at most 3, with commas"
    )
    parser.add_argument("--option", action="append", default=[], help="one more of the tool itself")
    args = parser.parse_args(argv)
    if reason := why_not():
        print(reason, file=sys.stderr)
        return 1
    row, size, problem = f"{NETWORK}-{args.row}", args.mib * MIB, ""
    where = SHARED_MEMORY if SHARED_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="regather-bench-", dir=where) as temporary:
        folder = Path(temporary)
        original = generate(folder / "file.bin", size)
        site = split_for_servers(original, folder / "site", replicas=len(LINKS))
        ideal = size / payload(args.links)
        dest = folder / "out" / "file.bin"
        options = args.option or (_ARIA2C[0] if row == ARIA2C else [])
        with Lab(site, original.path.name, args.links) as lab:
            for _ in range(args.runs):
                empty(dest.parent)
                done = lab.run(lab.command(row, dest, options), size)
                wall = done.sample.wall
                problem = done.sample.problem or differs(original.path, [dest])
                print(
                    f"{row}: {wall:.2f} s, {ideal / wall:.3f} of {size / ideal / 1e6:.2f} MB/s, "
                    f"last {TAIL:.0%} of the file {done.tail:.1%} of the time"
                    + (f" PROBLEM: {problem}" if problem else ""),
                    flush=True,
                )
        for source, link in zip(lab.star.sources, args.links, strict=True):
            told = source.link.report
            print(
                f"  {link.rate / 1e6:g} Mbit/s: {told['back']} late by "
                f"{told['late_mean'] * 1e3:.2f} ms, {told['late_most'] * 1e3:.0f} ms at most, "
                f"{told['cpu']:.2f} s of CPU"
            )
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
