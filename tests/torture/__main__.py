"""Every call of every command fails, in every way (``make torture``), or the power is lost."""

from __future__ import annotations

import argparse
import multiprocessing
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.torture.harness import Work, points, recorded
from tests.torture.powercuts import record, states, untrue_claims
from tests.torture.recorder import Recorder
from tests.torture.workers import attempt, begin, name_of, own, replay


def run() -> int:
    """Print what is wrong, a line each; return how much is."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("words", nargs="*", help="only commands whose names hold one of them")
    parser.add_argument("--power-cuts", action="store_true", help="losses of power instead")
    parser.add_argument("--each", type=int, default=4, help="random states after each call")
    parser.add_argument("--most", type=int, help="try so many points of each command at most")
    parser.add_argument("--only", default="", help="try only points that hold this")
    parser.add_argument("--jobs", type=int, default=4, help="so many at a time")
    args = parser.parse_args()
    total: Counter[str] = Counter()
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="torture-")))
        folder, recorder, all_works = stack.enter_context(own(base / name_of(0)))
        count = context.Value("i", 0)
        pool = stack.enter_context(
            ProcessPoolExecutor(args.jobs, context, begin, (str(base), count))
        )
        for name, work in all_works.items():
            if args.words and not any(word in name for word in args.words):
                continue
            began = time.monotonic()
            all_of = _losses if args.power_cuts else _failures
            counts: Counter[str] = Counter()
            for kind, what, flaw in all_of(work, recorder, folder, pool, args):
                counts[kind] += 1
                counts["flaws"] += bool(flaw)
                if flaw:
                    print(f"{name}: {what}: {flaw}", flush=True)
            total += counts
            print(f"{name}: {_shown(counts)}, {time.monotonic() - began:.0f} s", flush=True)
    print(_shown(total))
    return total["flaws"]


def _failures(
    work: Work, recorder: Recorder, folder: Path, pool: Executor, args: argparse.Namespace
) -> Iterator[tuple[str, str, str]]:
    """Whether each point was reached, which one it is, and what is wrong."""
    flaw, calls = recorded(work, recorder, folder)
    if flaw:
        yield "runs", "without any failure", flaw
        return
    chosen = [point for point in points(calls) if args.only in str(point)]
    if args.most is not None and args.most < len(chosen):
        chosen = random.Random(work.name).sample(chosen, args.most)
    results = pool.map(partial(attempt, work.name), chosen)
    for point, (reached, flaw) in zip(chosen, results, strict=True):
        yield "points" if reached else "not reached", str(point), flaw


def _losses(
    work: Work, recorder: Recorder, folder: Path, pool: Executor, args: argparse.Namespace
) -> Iterator[tuple[str, str, str]]:
    """Of each state of the disk, whether a journal is untrue, when it was, and what is wrong."""
    found = list(states(record(work, recorder, folder), args.each))
    if args.most is not None and args.most < len(found):
        found = random.Random(work.name).sample(found, args.most)
    results = pool.map(partial(replay, work.name), [state.tree for state, _ in found])
    for (state, flaw), after in zip(found, results, strict=True):
        kind = "replays with untrue claims" if untrue_claims(state.tree) else "other replays"
        yield kind, f"after {state.at} calls, {state.how}", flaw or after


def _shown(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


if __name__ == "__main__":
    raise SystemExit(bool(run()))
