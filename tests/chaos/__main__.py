"""``python -m tests.chaos``: one schedule again, or many."""

from __future__ import annotations

import argparse
import json
import signal
import sys

from tests.chaos.many import PARALLEL, ProgressLine, run_many, tell
from tests.chaos.run import run


def main() -> int:
    """Run what was asked for; 1 where there were flaws."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, help="run the schedule of this seed and explain it")
    parser.add_argument("--count", type=int, default=100, metavar="N", help="run so many (100)")
    parser.add_argument("--first-seed", type=int, default=0, metavar="SEED", help="from this on")
    parser.add_argument(
        "--parallel", type=int, default=PARALLEL, metavar="N", help=f"at a time ({PARALLEL})"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    args = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):  # the first is ignored in background jobs
        signal.signal(number, signal.default_int_handler)
    if args.seed is not None:
        result = run(args.seed)
        print(tell(result))
        print(f"  {result.seconds:.1f} s, {result.outcomes}, {dict(result.struck)}")
        return bool(result.flaws)
    seeds = range(args.first_seed, args.first_seed + max(args.count, 1))
    summary = run_many(seeds, parallel=args.parallel, on_result=ProgressLine(len(seeds)))
    print(json.dumps(summary.as_json()) if args.json else summary.as_text())
    return bool(summary.failed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
