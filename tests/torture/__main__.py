"""Every call of every command is made to fail, in every way: ``make torture``."""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.torture.harness import points, recorded, tried
from tests.torture.recorder import Recorder
from tests.torture.works import works


def run() -> int:
    """Print what is wrong, a line a point; return how many points are."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("words", nargs="*", help="only commands whose names hold one of them")
    parser.add_argument("--most", type=int, help="try so many points of each command at most")
    parser.add_argument("--only", default="", help="try only points that hold this")
    args = parser.parse_args()
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="torture-") as name:
        base = Path(name)
        recorder = Recorder(base)
        with works(base, recorder) as all_works:
            for work in all_works:
                if args.words and not any(word in work.name for word in args.words):
                    continue
                began = time.monotonic()
                flaw, calls = recorded(work, recorder, base / "run")
                if flaw:
                    print(f"{work.name}: without any failure: {flaw}")
                    return 1
                chosen = [point for point in points(calls) if args.only in str(point)]
                if args.most is not None and args.most < len(chosen):
                    chosen = random.Random(work.name).sample(chosen, args.most)
                counts: Counter[str] = Counter(points=len(chosen))
                for point in chosen:
                    reached, flaw = tried(work, recorder, base / "run", point)
                    counts["not reached"] += not reached
                    counts["flaws"] += bool(flaw)
                    if flaw:
                        print(f"{work.name}: {point}: {flaw}", flush=True)
                total += counts
                shown = ", ".join(f"{counts[k]} {k}" for k in ("points", "not reached", "flaws"))
                seconds = time.monotonic() - began
                print(f"{work.name}: {len(calls)} calls, {shown}, {seconds:.0f} s", flush=True)
        recorder.close()
    print(f"{total['points']} points, {total['not reached']} not reached, {total['flaws']} flaws")
    return total["flaws"]


if __name__ == "__main__":
    raise SystemExit(bool(run()))
