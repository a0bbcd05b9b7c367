"""Feed every parser, or those that are named, with inputs that nobody would send.

Prints a row a harness: inputs, seconds, and what was found.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec import Struct

from tests.fuzz.harnesses import HARNESSES
from tests.fuzz.seeds import as_line

_ROOT = Path(__file__).parents[2]
_FINDS = ("crash-*", "timeout-*", "oom-*")
_SECONDS = 10


class Outcome(Struct):
    """What came of one harness."""

    name: str
    inputs: int
    seconds: float
    finds: list[str]
    """What was found, each with the line for the corpus that repeats it."""


def fuzz(
    names: Sequence[str], folder: Path, *, inputs: int = 0, seconds: int = 0, seed: int = 1
) -> Iterator[Outcome]:
    """Run harnesses one after the other, each for so many inputs or seconds; 0: no limit."""
    limits = [f"--folder={folder}", f"--inputs={inputs}", f"--seconds={seconds}", f"--seed={seed}"]
    command = [sys.executable, "-m", "tests.fuzz.child", *names, *limits]
    began = time.monotonic()
    with subprocess.Popen(
        command,
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            now = time.monotonic()
            yield _outcome(line.strip(), folder / line.strip(), now - began)
            began = now
    if child.returncode:
        raise SystemExit(f"the fuzzer ends with {child.returncode}: is atheris installed?")


def _outcome(name: str, folder: Path, seconds: float) -> Outcome:
    said = (folder / "said").read_text("utf-8", "replace")
    done = re.search(r"number_of_executed_units: (\d+)", said)
    finds = [
        f"{_cause(said)}\n{as_line(path.read_bytes())}"
        for pattern in _FINDS
        for path in folder.glob(pattern)
    ]
    if done is None and not finds:
        finds.append(said[-4000:])
    return Outcome(name, int(done[1]) if done else 0, seconds, finds)


def _cause(said: str) -> str:
    """The end of what Python says of an exception, without the fuzzer's own lines."""
    text = said.partition("=== Uncaught Python exception: ===")[2].partition("\n==")[0] or said
    return "\n".join(text.strip().splitlines()[-12:])


def _lines(name: str, corpus: Path) -> str:
    """How many lines of the parser a corpus reaches; which not, on standard error."""
    command = [sys.executable, "-m", "tests.fuzz.covered", name, str(corpus)]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    print(f"{name}: not reached: {' '.join(found['missed']) or 'none'}", file=sys.stderr)
    return f"{found['reached']} of {found['lines']}"


def run() -> int:
    """Return 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("name", nargs="*", help="a harness; without one: all of them")
    parser.add_argument("--inputs", type=int, default=0, help="of each harness")
    parser.add_argument("--seconds", type=int, default=0, help=f"of each harness ({_SECONDS})")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1, 1 << 31))
    parser.add_argument("--keep", type=Path, help="a folder for what is made, to go on from")
    parser.add_argument("--lines", action="store_true", help="count the lines that are reached")
    args = parser.parse_args()
    if unknown := set(args.name) - set(HARNESSES):
        parser.error(f"no harness {', '.join(unknown)}; known are {', '.join(HARNESSES)}")
    print(f"seed {args.seed}\n\n| harness | inputs | s | found |{' lines |' * args.lines}")
    print(f"| --- | ---: | ---: | ---: |{' ---: |' * args.lines}", flush=True)
    found = 0
    with tempfile.TemporaryDirectory(prefix="fuzz-") as temporary:
        folder = args.keep or Path(temporary)
        limits = {
            "inputs": args.inputs,
            "seconds": args.seconds or (0 if args.inputs else _SECONDS),
            "seed": args.seed,
        }
        for one in fuzz(args.name or list(HARNESSES), folder, **limits):
            found += len(one.finds)
            lines = f" {_lines(one.name, folder / one.name / 'corpus')} |" if args.lines else ""
            row = f"| {one.name} | {one.inputs} | {one.seconds:.0f} | {len(one.finds)} |{lines}"
            print(row, flush=True)
            for find in one.finds:
                print(f"{one.name}: {find}", file=sys.stderr, flush=True)
    return int(found > 0)


if __name__ == "__main__":
    raise SystemExit(run())
