"""Runs many schedules, several at a time, and adds up what came of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from tests.chaos.run import Result, run

PARALLEL = 2 * (os.cpu_count() or 1)
"""Most of a schedule is waiting for time-outs and pauses, so cores can do with two each."""
_LINE_SECONDS = 30.0


@dataclass
class Summary:
    """What came of some schedules."""

    first_seed: int = 0
    last_seed: int = 0
    schedules: int = 0
    failed: list[Result] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    bound: Counter[str] = field(default_factory=Counter)
    """Attempts that nothing excused from success."""
    struck: Counter[str] = field(default_factory=Counter)
    wrong_bytes: int = 0
    hangs: int = 0
    leaks: int = 0
    size: int = 0
    fetched: int = 0
    worst_seconds: float = 0.0
    worst_seed: int = 0
    wall_seconds: float = 0.0
    in_time: bool = True
    """Whether all that were asked for were run."""

    def add(self, result: Result) -> None:
        """Count one."""
        seeds = (result.seed,) if self.schedules == 0 else (self.first_seed, result.seed)
        self.first_seed = min(seeds)
        self.last_seed = max(self.last_seed, result.seed)
        self.schedules += 1
        if result.flaws:
            self.failed.append(result)
        self.outcomes.update(result.outcomes)
        self.bound += result.bound
        self.struck += result.struck
        self.wrong_bytes += any("wrong bytes" in f or "neither" in f for f in result.flaws)
        self.hangs += result.hung
        self.leaks += result.leaked
        if result.outcomes and result.outcomes[-1].endswith("done"):
            self.size += result.size
            self.fetched += result.fetched
        if result.seconds > self.worst_seconds:
            self.worst_seconds, self.worst_seed = result.seconds, result.seed

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "schedules": self.schedules,
            "first_seed": self.first_seed,
            "last_seed": self.last_seed,
            "failed": {r.seed: r.flaws for r in self.failed},
            "outcomes": dict(sorted(self.outcomes.items())),
            "had_to_succeed": dict(sorted(self.bound.items())),
            "faults": dict(sorted(self.struck.items())),
            "wrong_bytes": self.wrong_bytes,
            "hangs": self.hangs,
            "leaks": self.leaks,
            "fetched_over_size": round(self.fetched / self.size, 4) if self.size else None,
            "worst_seconds": round(self.worst_seconds, 1),
            "worst_seed": self.worst_seed,
            "wall_seconds": round(self.wall_seconds, 1),
            "complete": self.in_time,
        }

    def as_text(self) -> str:
        """For people."""
        over = f"{self.fetched / self.size:.3f}" if self.size else "-"
        lines = [
            f"schedules           {self.schedules} (seeds {self.first_seed} to {self.last_seed})",
            f"with flaws          {len(self.failed)}",
            f"wrong bytes         {self.wrong_bytes}",
            f"hangs               {self.hangs}",
            f"leaks               {self.leaks}",
            f"fetched over size   {over}",
            f"longest             {self.worst_seconds:.1f} s (seed {self.worst_seed})",
            f"wall time           {self.wall_seconds:.0f} s",
            "how clients ended",
            *(f"  {kind:<26} {n}" for kind, n in sorted(self.outcomes.items())),
            "clients that had to succeed",
            *(f"  {kind:<26} {n}" for kind, n in sorted(self.bound.items())),
            "faults that struck",
            *(f"  {kind:<26} {n}" for kind, n in sorted(self.struck.items())),
        ]
        lines += [f"FAILED seed {r.seed}: {replay(r.seed)}" for r in self.failed]
        return "\n".join(lines)


def replay(seed: int) -> str:
    """The command that runs one schedule again."""
    return f"{os.path.relpath(sys.executable)} -m tests.chaos --seed {seed}"


def tell(result: Result) -> str:
    """All about a schedule with flaws."""
    flaws = "\n".join(f"  FLAW {flaw}" for flaw in result.flaws)
    return f"{result.explained}\n{flaws}\n  replay: {replay(result.seed)}"


def run_many(
    seeds: Sequence[int],
    *,
    parallel: int = PARALLEL,
    on_result: Callable[[Result, Summary], None] | None = None,
    seconds: float | None = None,
) -> Summary:
    """Run the schedules of these seeds; begin none after ``seconds``.

    A process that dies is an error, not a result.
    """
    summary = Summary()
    began = time.monotonic()
    left = iter(seeds)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        min(parallel, len(seeds)), context, initializer=_end_with, initargs=(os.getpid(),)
    ) as pool:
        running: set[Future[Result]] = set()
        while True:
            late = seconds is not None and time.monotonic() - began > seconds
            room = 0 if late else parallel - len(running)
            fresh = {pool.submit(run, seed) for seed in _some(left, room)}
            running |= fresh
            if not running:
                break
            ended, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ended:
                result = future.result()
                summary.add(result)
                summary.wall_seconds = time.monotonic() - began
                if on_result is not None:
                    on_result(result, summary)
    summary.in_time = summary.schedules == len(seeds)
    return summary


def _end_with(parent: int) -> None:
    """Interrupt this process, so that it ends in order, as soon as its parent is gone."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(10)
        os._exit(1)

    threading.Thread(target=watch, name="watch parent", daemon=True).start()


def _some(seeds: Iterator[int], count: int) -> list[int]:
    return list(islice(seeds, count))


class ProgressLine:
    """A line on standard error while schedules run, and each flaw as soon as it is known."""

    def __init__(self, total: int, *, quiet: bool = False) -> None:
        self._total = total
        self._quiet = quiet
        self._due = 0.0

    def __call__(self, result: Result, summary: Summary) -> None:
        on_terminal = sys.stderr.isatty()
        if result.flaws:
            print(f"\n{tell(result)}" if on_terminal else tell(result), file=sys.stderr, flush=True)
        now = time.monotonic()
        if self._quiet or (now < self._due and summary.schedules < self._total):
            return
        self._due = now + (0.5 if on_terminal else _LINE_SECONDS)
        done, seconds = summary.schedules, summary.wall_seconds
        line = (
            f"{done} of {self._total} schedules, {len(summary.failed)} with flaws, "
            f"{sum(summary.struck.values())} faults, {seconds:.0f} s, "
            f"{seconds / done * (self._total - done):.0f} s to go"
        )
        last = done >= self._total
        end = "\n" if last or not on_terminal else ""
        print(f"\r{line}\x1b[K" if on_terminal else line, end=end, file=sys.stderr, flush=True)
