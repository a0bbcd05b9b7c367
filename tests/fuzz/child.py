"""Harnesses, by atheris, one after the other: ``python -m tests.fuzz.child NAME... --folder F``.

Each runs in a fork, for the fuzzer ends its process; all that is imported is imported once.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import NoReturn

import atheris

with atheris.instrument_imports(include=["regather"]):
    from tests.fuzz.harnesses import HARNESSES, Harness, workspace

from tests.fuzz.judge import Judge
from tests.fuzz.mutate import MUTATORS
from tests.fuzz.seeds import seeds

_HANGS = 120
"""Seconds by the clock after which an input hangs; the judge counts those of the processor."""


def run() -> int:
    """Print the name of each harness when it has ended; return 0.

    Folders, by harness, have the inputs, what was found, and what the fuzzer said.
    """
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.child", description=__doc__)
    parser.add_argument("name", nargs="+", choices=HARNESSES)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--inputs", type=int)
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    workspace()  # this process removes it
    for name in args.name:
        folder = args.folder / name
        (folder / "corpus").mkdir(parents=True, exist_ok=True)
        process = os.fork()
        if not process:
            said = os.open(folder / "said", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(said, 1)
            os.dup2(said, 2)
            fuzz(HARNESSES[name], folder, args.inputs, args.seconds, args.seed)
        os.waitpid(process, 0)
        print(name, flush=True)
    return 0


def fuzz(
    harness: Harness, folder: Path, inputs: int | None, seconds: int | None, seed: int
) -> NoReturn:
    """Run one harness; the fuzzer ends this process."""
    corpus, words = folder / "corpus", folder / "words"
    for number, data in enumerate(seeds(harness.name)):
        (corpus / f"seed-{number}").write_bytes(data)
    words.write_text("".join(f'"{_quoted(word)}"\n' for word in harness.tokens.split(" ")))
    options = [
        f"-seed={seed}",
        f"-max_len={min(harness.most, 8 << 10)}",
        *([f"-dict={words}"] if harness.tokens else []),
        f"-artifact_prefix={folder}/",
        f"-timeout={_HANGS}",
        "-rss_limit_mb=2048",
        "-print_final_stats=1",
    ]
    if inputs:
        options.append(f"-runs={inputs}")
    if seconds:
        options.append(f"-max_total_time={seconds}")
    mutator = MUTATORS.get(harness.name)
    how = {}
    if mutator is not None:
        how["custom_mutator"] = lambda data, most, seed: mutator(data, most, seed, atheris.Mutate)
    atheris.Setup([__file__, *options, str(corpus)], Judge(harness), **how)
    atheris.Fuzz()
    os._exit(0)


def _quoted(word: str) -> str:
    """A word as dictionaries of libFuzzer have it."""
    return "".join(c if " " < c < "\x7f" and c not in '"\\' else f"\\x{ord(c):02x}" for c in word)


if __name__ == "__main__":
    raise SystemExit(run())
