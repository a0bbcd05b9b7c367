"""Runs the planner through many random worlds, and tells those that do not end, or end badly.

.venv/bin/python -m tests.simulation.hunt --count 10000 [--first-seed S] [--live]

Every world follows from its seed. Exit code 1: something was found. A seed alone
repeats it, with ``--first-seed SEED --count 1``: the trace tells where.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

from tests.simulation.live_worlds import live_world
from tests.simulation.random_worlds import judge, random_world


def run_one(seed: int, check_every: int, *, live: bool = False) -> None:
    """Run the world of a seed. Raises AssertionError or Stuck."""
    if live:
        readers = live_world(seed)
        readers.check_every = check_every
        readers.run()
        return
    world = random_world(seed)
    world.check_every = check_every
    judge(world, world.run())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.hunt", description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="how many worlds (1000)")
    parser.add_argument("--first-seed", type=int, default=0, help="the first world's seed (0)")
    parser.add_argument(
        "--check-every",
        type=int,
        default=1,
        help="check the planner's books after every so many events; 0: never (1)",
    )
    parser.add_argument("--live", action="store_true", help="readers and sources come and go")
    options = parser.parse_args(arguments)
    found, began = 0, time.monotonic()
    for seed in range(options.first_seed, options.first_seed + options.count):
        try:
            run_one(seed, options.check_every, live=options.live)
        except Exception as error:
            found += 1
            print(f"seed {seed}: {type(error).__name__}: {error}", flush=True)
            if options.count == 1:
                raise
    seconds = time.monotonic() - began
    print(
        f"{options.count} worlds from seed {options.first_seed} on: {found} found ({seconds:.0f} s)"
    )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
