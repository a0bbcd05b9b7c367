"""Take out one guard at a time, in a copy of the tree, and run the test that has to fail then.

``make guards`` runs all of ``tools/guards.toml``; words on the command line choose rows by threat,
file or test. ``--table`` writes the table of docs/security.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/security.md"
START, END = (
    "<!-- guards: written by `python -m tools.guards --table` -->\n",
    "<!-- guards end -->\n",
)
_COPIED = ("src", "tests", "bench", "docs", "examples", "share", "tools", "requirements")
_FAILED = 1
"""What pytest ends with where tests fail; other codes mean that it did not run them."""


@dataclass(frozen=True, slots=True)
class Guard:
    """One line of ours that protects somebody."""

    who: str
    threat: str
    guard: str
    file: str
    old: str
    new: str
    test: str

    def is_meant(self, words: Sequence[str]) -> bool:
        """Whether a word chooses it; no word chooses all."""
        return not words or any(w in f"{self.threat} {self.file} {self.test}" for w in words)

    def taken_out(self, root: Path) -> str:
        """Take it out of a tree; returns the file as it was."""
        path = root / self.file
        text = path.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise SystemExit(f"{self.file}: does not have once: {self.old!r}")
        path.write_text(text.replace(self.old, self.new), encoding="utf-8")
        return text


def guards() -> list[Guard]:
    """All of them."""
    with Path(__file__).with_suffix(".toml").open("rb") as file:
        return [Guard(**row) for row in tomllib.load(file)["guard"]]


def copy_to(folder: Path) -> None:
    """Copy what the tests need."""
    for name in _COPIED:
        shutil.copytree(
            ROOT / name,
            folder / name,
            symlinks=True,
            ignore=shutil.ignore_patterns("__pycache__", "_build", "node_modules"),
        )
    for path in ROOT.iterdir():
        if path.is_file():
            shutil.copy2(path, folder)
    for name in (".venv", ".venv-stores", ".ci"):
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)


def run(folder: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run tests on the code of a copy."""
    paths = filter(None, [str(folder / "src"), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [*(sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"), *tests],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def held(folder: Path, guard: Guard) -> str:
    """Why a guard is none: its test does not fail without it. Empty where it does."""
    before = guard.taken_out(folder)
    try:
        done = run(folder, [guard.test])
    finally:
        (folder / guard.file).write_text(before, encoding="utf-8")
    if done.returncode == _FAILED:
        return ""
    return f"{guard.test} does not fail (pytest ends with {done.returncode})"


def table() -> str:
    """The rows of docs/security.md."""
    rows = ["| by | threat | guard | file | test that fails without it |", "| --- " * 5 + "|"]
    for g in guards():
        file = g.file.removeprefix("src/regather/")
        place, _, name = g.test.removeprefix("tests/").partition("::")
        rows.append(f"| {g.who} | {g.threat} | {g.guard} | `{file}` | `{place}`: `{name}` |")
    return "\n".join(rows) + "\n"


def page(text: str) -> str:
    """The page with the table as it should be."""
    before, _, rest = text.partition(START)
    return before + START + "\n" + table() + "\n" + END + rest.partition(END)[2]


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="choose rows that contain one of these")
    parser.add_argument("--table", action="store_true", help="write the table of docs/security.md")
    args = parser.parse_args()
    if args.table:
        PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
        return 0
    chosen = [guard for guard in guards() if guard.is_meant(args.words)]
    with tempfile.TemporaryDirectory(prefix="regather-guards-") as name:
        folder = Path(name)
        copy_to(folder)
        whole = run(folder, [*dict.fromkeys(guard.test for guard in chosen)])
        if whole.returncode:
            print(whole.stdout, "with all guards in, the tests have to pass", sep="\n")
            return 1
        bad = 0
        for guard in chosen:
            why = held(folder, guard)
            bad += bool(why)
            print(
                f"{'NOT HELD' if why else 'held'}: {guard.threat}: {why or guard.test}", flush=True
            )
    print(f"{len(chosen) - bad} of {len(chosen)} guards are held by their tests")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
