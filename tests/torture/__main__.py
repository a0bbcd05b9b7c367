"""Every call of every command is made to fail, in every way: ``make torture``."""

from __future__ import annotations

import argparse
import multiprocessing
import random
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from tests.torture.harness import points, recorded
from tests.torture.workers import attempt, begin, name_of, own


def run() -> int:
    """Print what is wrong, a line a point; return how many points are."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("words", nargs="*", help="only commands whose names hold one of them")
    parser.add_argument("--most", type=int, help="try so many points of each command at most")
    parser.add_argument("--only", default="", help="try only points that hold this")
    parser.add_argument("--jobs", type=int, default=4, help="so many points at a time")
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
            flaw, calls = recorded(work, recorder, folder)
            if flaw:
                print(f"{name}: without any failure: {flaw}")
                return 1
            chosen = [point for point in points(calls) if args.only in str(point)]
            if args.most is not None and args.most < len(chosen):
                chosen = random.Random(name).sample(chosen, args.most)
            counts: Counter[str] = Counter()
            results = pool.map(partial(attempt, name), chosen)
            for point, (reached, flaw) in zip(chosen, results, strict=True):
                counts["points" if reached else "not reached"] += 1
                counts["flaws"] += bool(flaw)
                if flaw:
                    print(f"{name}: {point}: {flaw}", flush=True)
            total += counts
            seconds = time.monotonic() - began
            print(f"{name}: {len(calls)} calls, {_shown(counts)}, {seconds:.0f} s", flush=True)
    print(_shown(total))
    return total["flaws"]


def _shown(counts: Counter[str]) -> str:
    return ", ".join(f"{counts[kind]} {kind}" for kind in ("points", "not reached", "flaws"))


if __name__ == "__main__":
    raise SystemExit(bool(run()))
