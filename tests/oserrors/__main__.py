"""All points of all commands, or of those whose names hold a word: ``python -m tests.oserrors``."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

from tests.oserrors.harness import flaw_of, points
from tests.oserrors.works import works


def run() -> int:
    """Print what is wrong, a line a point; return how many points are."""
    parser = argparse.ArgumentParser(prog="python -m tests.oserrors", description=__doc__)
    parser.add_argument("word", nargs="*")
    parser.add_argument("--most", type=int, help="so many calls of one name in each command")
    args = parser.parse_args()
    tried = bad = 0
    with tempfile.TemporaryDirectory(prefix="oserrors-") as name, works(Path(name)) as all_works:
        for work in all_works:
            if args.word and not any(word in work.name for word in args.word):
                continue
            first, counts = flaw_of(work, Path(name) / "count", None)
            shutil.rmtree(Path(name) / "count")
            if first:
                print(f"{work.name}: without any fault: {first}")
                return 1
            for point in points(counts, most=args.most):
                flaw, _ = flaw_of(work, Path(name) / "one", point)
                shutil.rmtree(Path(name) / "one", ignore_errors=True)
                tried += 1
                if flaw:
                    bad += 1
                    print(f"{work.name}: {point}: {flaw}", flush=True)
    print(f"{tried} points, {bad} of them bad")
    return bad


if __name__ == "__main__":
    raise SystemExit(bool(run()))
