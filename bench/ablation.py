"""What each tuned constant of the planner is worth: halved and doubled, over scenarios.

.venv/bin/python -m bench.ablation [--seeds N] [--scenario NAME...] [--constant NAME...]

Each variant runs as plain Python from a copy of the package in which one line differs. The table
shows by how much the makespan over the fluid limit, and the bytes in vain, change at most, and in
which scenario. A constant whose cells are empty moves nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import regather

_PACKAGE = Path(regather.__file__).parent
_DEFINITION = re.compile(r"^(_?[A-Z][A-Z_]+) = ([0-9][0-9_.e]*|[0-9]+ << [0-9]+)$", re.MULTILINE)
_QUICK = ("unequal-links", "erasure-slow", "varying", "partial", "flaky", "limited", "downlink")
_MOVES = 0.002
"""Smaller changes of the makespan, as a share of the limit, are luck."""


class Constant(NamedTuple):
    """A tuned number of the planner."""

    module: str
    name: str
    value: str


def constants() -> Iterator[Constant]:
    """All numbers that modules of the planner define, save bit masks."""
    for path in sorted((_PACKAGE / "planner").glob("*.py")):
        for name, value in _DEFINITION.findall(path.read_text(encoding="utf-8")):
            yield Constant(path.stem, name, value)


def figures(where: Path, scenarios: Sequence[str], seeds: int) -> dict[str, tuple[float, float]]:
    """By scenario: mean makespan over the limit and mean bytes in vain, of one copy."""
    command = [
        sys.executable,
        "-m",
        "bench.simulate",
        "--json",
        "--seeds",
        str(seeds),
        "--scenario",
    ]
    root = Path(__file__).parent.parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(where), str(root)])}
    ran = subprocess.run(
        [*command, *scenarios],
        env=environment,
        cwd=where,
        capture_output=True,
        text=True,
        check=False,
    )
    if ran.returncode not in (0, 1):
        return {}  # it does not run with this value
    found = {}
    for scenario in json.loads(ran.stdout):
        runs = scenario["runs"]
        if any(run["problem"] and run["ratio"] is None for run in runs):
            return {}
        found[scenario["scenario"]] = (
            sum(run["ratio"] for run in runs) / len(runs),
            sum(run["in_vain"] for run in runs) / len(runs),
        )
    return found


def variant(
    constant: Constant | None, factor: float, scenarios: Sequence[str], seeds: int
) -> dict[str, tuple[float, float]]:
    """The figures with one constant changed; None: with none."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "regather"
        shutil.copytree(_PACKAGE, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
        if constant is not None:
            path = copy / "planner" / f"{constant.module}.py"
            text = path.read_text(encoding="utf-8")
            old = f"{constant.name} = {constant.value}\n"
            number = eval(constant.value) * factor
            changed = (
                int(number) if "." not in constant.value and "e" not in constant.value else number
            )
            path.write_text(text.replace(old, f"{constant.name} = {changed}\n"), encoding="utf-8")
        return figures(Path(folder), scenarios, seeds)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m bench.ablation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--scenario", nargs="+", default=list(_QUICK))
    parser.add_argument("--constant", nargs="+", default=[])
    options = parser.parse_args(arguments)
    usual = variant(None, 1.0, options.scenario, options.seeds)
    print("| module | constant | value | halved | doubled |\n| --- | --- | ---: | --- | --- |")
    for constant in constants():
        if options.constant and constant.name not in options.constant:
            continue
        cells = []
        for factor in (0.5, 2.0):
            found = variant(constant, factor, options.scenario, options.seeds)
            cells.append(_told(usual, found))
        row = [constant.module, f"`{constant.name}`", constant.value, *cells]
        print("| " + " | ".join(row) + " |", flush=True)
    return 0


def _told(usual: dict[str, tuple[float, float]], found: dict[str, tuple[float, float]]) -> str:
    """The largest changes, in words."""
    if not found:
        return "does not run"
    worst = max(usual, key=lambda name: found[name][0] - usual[name][0])
    best = min(usual, key=lambda name: found[name][0] - usual[name][0])
    vain = max(usual, key=lambda name: found[name][1] - usual[name][1])
    told = []
    for name in dict.fromkeys((worst, best)):
        change = found[name][0] - usual[name][0]
        if abs(change) >= _MOVES:
            told.append(f"{name} {change:+.1%}")
    change = found[vain][1] - usual[vain][1]
    if change >= _MOVES:
        told.append(f"{vain} {change:+.1%} in vain")
    return ", ".join(told)


if __name__ == "__main__":
    sys.exit(main())
