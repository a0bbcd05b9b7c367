"""What a bad source costs: one that crawls, and one that is killed halfway."""

from __future__ import annotations

import shutil
import statistics
import time
from contextlib import ExitStack
from pathlib import Path

from bench import tools
from bench.data import differs, empty, generate
from bench.model import GIB, MIB, Result, Row, Sample, Section
from bench.process import Running, measure
from bench.rounds import Bench, limit_for, run_rounds, say
from bench.servers import OwnServer
from bench.transfer import SERVERS, Site, split_for_servers

SLOW, KILLED = "slow", "killed"
NAMES = {SLOW: ("slow-none", "slow-one"), KILLED: ("killed-none", "killed-one")}
REPLICAS = 2
RATE = 60e6
"""Bytes a second of each server of the killed rows: together less than two cores can do, so that
the servers set the pace and not the machine."""
KILLED_SIZE = GIB // 2
_HEADERS = ["", "wall s", "from - to", "reference s", "cost"]


def faults(bench: Bench) -> list[Section]:
    """Measure both kinds."""
    return [
        measured(bench)
        for group, measured in ((SLOW, _slow), (KILLED, _killed))
        if bench.wants_any({group: NAMES[group]})
    ]


def _line(result: Result, reference: float | None, cost: float | None) -> list[str]:
    if not result.ok:
        return [result.label, result.problem.partition(":")[0] or "FAILED", "-", "-", "-"]
    walls = [sample.wall for sample in result.samples]
    return [
        result.label,
        f"{result.wall:.3f}",
        f"{min(walls):.2f} - {max(walls):.2f}",
        "-" if reference is None else f"{reference:.3f}",
        "-" if cost is None else f"{cost:+.1%}",
    ]


def _failed(section: Section, label: str, name: str, problem: str) -> Section:
    section.results.append(Result(name, label, problem=f"FAILED: {problem}"))
    section.rows.append([label, "FAILED", "-", "-", "-"])
    section.notes.append(problem)
    return section


def _slow(bench: Bench) -> Section:
    section = Section("One of three sources crawls (two copies of every fragment)", _HEADERS)
    original, dest = bench.original, bench.scratch.memory / "out" / "file.bin"
    site = split_for_servers(original, bench.scratch.memory / "slow", replicas=REPLICAS)

    def row(name: str, label: str, urls: list[str]) -> Row:
        return Row(
            name=name,
            label=label,
            command=tuple(tools.get(site.manifest, urls, dest)),
            size=original.size,
            prepare=lambda: empty(dest.parent),
            check=lambda: differs(original.path, [dest]),
        )

    try:
        if site.problem:
            return _failed(section, "regather get", "slow-one", site.problem)
        with ExitStack() as stack:
            well = [stack.enter_context(OwnServer(root)).url for root in site.roots]
            healthy = row("slow-none", "three good sources", well)
            healthy.prepare()
            first = bench.measure(healthy)
            if first.problem:
                return _failed(section, healthy.label, healthy.name, first.problem)
            rate = max(1, int(original.size / first.wall / SERVERS / 100))
            crawling = stack.enter_context(OwnServer(site.roots[-1], fault=f"slow:{rate}"))
            label = f"one of them at 1 % ({rate / 1e6:.1f} MB/s)"
            rows = [healthy, row("slow-one", label, [*well[:-1], crawling.url])]
            results = run_rounds(SLOW, rows, bench.runs, bench.measure)
    except (OSError, RuntimeError, ValueError) as error:
        return _failed(section, "regather get", "slow-one", str(error))
    finally:
        shutil.rmtree(site.manifest.parent)
    without, with_one = results
    section.results = results
    cost = None
    if without.ok and with_one.ok:
        cost = section.metrics["slow"] = with_one.wall / without.wall - 1
    section.rows.append(_line(without, None, None))
    section.rows.append(_line(with_one, without.wall if without.ok else None, cost))
    _explain(section)
    return section


def _explain(section: Section) -> None:
    section.notes += [
        f"{result.label}: {result.problem}" for result in section.results if result.problem
    ]


def written(pid: int | None) -> int | None:
    """Return the bytes a process has written to files and sockets so far; None where unknown."""
    try:
        lines = Path(f"/proc/{pid}/io").read_text("ascii").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("wchar:")), None)


class _Killing:
    """Downloads from three servers of limited speed; one of them may be killed halfway."""

    def __init__(self, site: Site, size: int, dest: Path) -> None:
        self._site = site
        self._size = size
        self._dest = dest
        self.ideals: list[float] = []

    def run(self, row: Row) -> Sample:
        """Start three new servers, download from them, and kill one where the row says so."""
        with ExitStack() as stack:
            fault = f"slow:{RATE / 1e6:.0f}MB"
            servers = [
                stack.enter_context(OwnServer(root, fault=fault)) for root in self._site.roots
            ]
            command = tools.get(self._site.manifest, [s.url for s in servers], self._dest)
            if row.name == "killed-none":
                return measure(command, limit=limit_for(self._size))
            return self._with_a_kill(command, servers[-1])

    def _with_a_kill(self, command: list[str], victim: OwnServer) -> Sample:
        limit = limit_for(self._size)
        running = Running(command)
        try:
            deadline = running.started + limit
            while (written(running.pid) or 0) < self._size / 2:
                if running.ended or time.monotonic() > deadline:
                    break
                time.sleep(0.002)
            victim.kill()
            elapsed = time.monotonic() - running.started
            placed = written(running.pid)
        except BaseException:
            running.stop()
            raise
        sample = running.wait(limit)
        if not sample.problem and (placed is None or placed >= self._size):
            return Sample(sample.wall, sample.cpu, sample.peak_rss, problem="ended unkilled")
        if not sample.problem:
            assert placed is not None
            self.ideals.append(elapsed + (self._size - placed) / (RATE * (SERVERS - 1)))
        return sample


def _killed(bench: Bench) -> Section:
    size = min(KILLED_SIZE, bench.size)
    pace = f"{RATE / 1e6:.0f} MB/s"
    section = Section(
        f"One of three sources killed halfway ({size / MIB:.0f} MiB, {pace} each, two copies)",
        _HEADERS,
    )
    folder, dest = bench.scratch.memory / "killed", bench.scratch.memory / "out" / "killed.bin"
    folder.mkdir()
    try:
        original = generate(folder / "killed.bin", size)
        site = split_for_servers(original, folder / "site", replicas=REPLICAS)
        if site.problem:
            return _failed(section, "regather get", "killed-one", site.problem)
        killing = _Killing(site, size, dest)
        rows = [
            Row(
                name=name,
                label=label,
                command=(),
                size=size,
                prepare=lambda: empty(dest.parent),
                check=lambda: differs(original.path, [dest]),
            )
            for name, label in (
                ("killed-none", "none killed"),
                ("killed-one", "one killed halfway"),
            )
        ]
        say(f"{KILLED}: {size / RATE / SERVERS:.1f} s a run at the least")
        without, with_one = results = run_rounds(KILLED, rows, bench.runs, killing.run)
    except (OSError, RuntimeError, ValueError) as error:
        return _failed(section, "regather get", "killed-one", str(error))
    finally:
        shutil.rmtree(folder)
    section.results = results
    fluid = size / (RATE * SERVERS)
    section.rows.append(_line(without, fluid, without.wall / fluid - 1 if without.ok else None))
    ideal = cost = None
    if with_one.ok:
        ideals = killing.ideals[-len(with_one.samples) :]
        ideal = statistics.median(ideals)
        pairs = zip(with_one.samples, ideals, strict=True)
        cost = section.metrics["killed"] = statistics.median(s.wall / i - 1 for s, i in pairs)
    section.rows.append(_line(with_one, ideal, cost))
    section.notes.append(
        f"Reference: without a kill, the size over {SERVERS} times {pace}; with it, the time of "
        f"the kill plus the bytes not yet written over {SERVERS - 1} times {pace}."
    )
    if without.ok and with_one.ok:
        stretched = without.wall * (1 + SERVERS / (SERVERS - 1)) / 2
        section.notes.append(
            "Held against the measured run without a kill, its second half at two thirds of the "
            f"speed: {with_one.wall / stretched - 1:+.1%}."
        )
    _explain(section)
    return section
