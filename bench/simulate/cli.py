"""The command line of the simulator."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import bench.simulate
from bench import compiled
from bench.simulate.runs import Result, run_all
from bench.simulate.scenario import load
from bench.simulate.table import as_json, as_text, cells
from bench.simulate.world import World
from regather.errors import UsageError

SCENARIOS = Path(__file__).parent.parent / "scenarios"
_BLINK = 0.5
"""Seconds between signs of life."""


def _seeds(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError("a number from 1 to 10000")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bench.simulate",
        description=bench.simulate.__doc__,
        epilog=f"scenarios: {', '.join(path.stem for path in _all())}. See docs/simulation.md.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--scenario",
        nargs="+",
        metavar="FILE",
        help="a file, or the name of one that comes with the project (default: all of those)",
    )
    parser.add_argument("--seeds", type=_seeds, default=5, help="runs of each (default 5)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the first run (0)")
    parser.add_argument("--json", action="store_true", help="every run, on standard output")
    parser.add_argument(
        "--check", action="store_true", help="exit with 1 where a bound of a scenario is missed"
    )
    return parser


def _all() -> list[Path]:
    return sorted(SCENARIOS.glob("*.toml"))


def _found(name: str) -> Path:
    """A path as given, or a scenario of the project by its name."""
    own = SCENARIOS / f"{name}.toml"
    return own if own.exists() and not Path(name).exists() else Path(name)


class _Progress:
    """Signs of life on standard error: a changing line on a terminal, else one a scenario."""

    def __init__(self, name: str, runs: int) -> None:
        self._name, self._runs, self._ended = name, runs, 0
        self._seed: int | None = None
        self._blinked = time.monotonic()
        self._live = sys.stderr.isatty()

    def look(self, seed: int, world: World) -> None:
        """Called now and then while a run goes on."""
        if self._seed is not None and seed != self._seed:
            self._ended += 1
        self._seed = seed
        now = time.monotonic()
        if self._live and now - self._blinked >= _BLINK:
            self._blinked = now
            share = world.planner.done_bytes / max(world.layout.size, 1)
            text = f"{self._name}: run {self._ended + 1} of {self._runs}, {share:.0%}"
            print(f"\r\x1b[K{text} at {world.now:.1f} s", end="", file=sys.stderr, flush=True)

    def end(self) -> None:
        """The scenario is through."""
        if self._live:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
        else:
            print(f"{self._name}: {self._runs} runs", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the scenarios; return 0, 1 where a bound is missed and checked, or 2 for bad input."""
    args = _parser().parse_args(argv)
    paths = [_found(name) for name in args.scenario] if args.scenario else _all()
    results: list[Result] = []
    interrupted = False
    try:
        # All are read before the first runs: a mistake in the last is told at once.
        scenarios = [(path, load(path)) for path in paths]
        for path, scenario in scenarios:
            seeds = range(args.seed, args.seed + args.seeds)
            progress = _Progress(path.stem, len(seeds[: scenario.seeds]))
            results.append(run_all(scenario, path, seeds, progress.look))
            progress.end()
    except UsageError as error:
        print(f"simulate: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("simulate: interrupted", file=sys.stderr)
        interrupted = True
    print(f"planner: {compiled.how()}", file=sys.stderr)
    print(as_json(results) if args.json else as_text([cells(r) for r in results]), end="")
    if interrupted:
        return 130
    return int(args.check and not all(result.kept for result in results))
