"""``python -m bench.readme``: write the measured figures of docs/performance.md into README.md.

The record is the only place where figures are kept, as `make bench` made them. A test compares
README.md with it, and fails until this command has been run. With ``--run``, the five lines of
README.md are run as they stand, and what the last two print replaces the output shown there.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.machine import processor

ROOT = Path(__file__).parents[1]
MARK = "**measured:** "
DOWNLOAD = "Download from three servers on loopback, memory to memory"
TLS = "The same over TLS"
LINKS = re.compile(r"Links of .*")
OURS, CURL = "regather get, verified", "curl, unverified"
NOT_MEASURED = "not measured"
LINK = "[docs/performance.md](docs/performance.md)"
GOALS = "[The table of goals](docs/performance.md#goals)"
FIVE = re.compile(
    r"^(## Five lines\n.*?^```sh\n)(.*?)(^```\n.*?^```text\n)(.*?)(?=^```$)",
    re.MULTILINE | re.DOTALL,
)
PROGRESS = re.compile(r"[a-z]+ing ")
TRIED = "Every *no* was tried (`python -m bench.trials`), or is in the manual of the tool."


class Record:
    """The tables of docs/performance.md, by the title above each."""

    def __init__(self, text: str) -> None:
        self._tables: dict[str, list[list[str]]] = {}
        title = ""
        for line in text.splitlines():
            if line.startswith("#"):
                title = line.lstrip("# ").strip()
            elif line.startswith("|"):
                cells = [cell.strip() for cell in line.strip()[1:-1].split("|")]
                self._tables.setdefault(title, []).append(cells)

    def table(self, title: str | re.Pattern[str]) -> list[list[str]]:
        """Return the rows below a title, the head first."""
        for name, rows in self._tables.items():
            if name == title or (isinstance(title, re.Pattern) and title.fullmatch(name)):
                return rows
        raise SystemExit(f"docs/performance.md has no table {title!r}")

    def cell(self, title: str | re.Pattern[str], row: str, column: str) -> str:
        """Return one figure; ``row`` is how the row's name begins."""
        head, *rows = self.table(title)
        for cells in rows:
            if cells[0].startswith(row):
                return cells[head.index(column)]
        raise SystemExit(f"docs/performance.md has no row {row!r} in {title!r}")

    def ratio(self, title: str, peer: str, column: str) -> float:
        """Return the time of Regather as a share of the peer's, from the column where it is."""
        if column and column in self.table(title)[0]:
            return float(self.cell(title, OURS, column))
        ours, theirs = (float(self.cell(title, row, "wall s")) for row in (OURS, peer))
        return ours / theirs


def lines(text: str) -> dict[str, str]:
    """Return the generated lines of README.md, by how each begins."""
    record = Record(text)

    def compared(title: str, peer: str, column: str = "") -> str:
        ratio = record.ratio(title, peer, column)
        word = "" if ratio < 0.95 else ", about equal" if ratio <= 1.05 else ", slower"
        return f"{ratio:.2f}{word}"

    def row(name: str, *cells: str) -> tuple[str, str]:
        start = f"| {MARK}{name} |"
        return start, f"{start} {' | '.join(cells)} |"

    aria2, checked = "aria2c, 3 mirrors", "aria2c, checksum"
    plain = compared(DOWNLOAD, aria2, "wall / aria2c")
    goals = [cells for cells in record.table("Goals") if cells[-1] in ("met", "missed")]
    missed = [cells for cells in goals if cells[-1] == "missed"]
    days = [cells for cells in record.table("The record") if cells[0].startswith("date")]
    day = ", ".join(
        f"{name.removeprefix('date of ') + ' on ' if name != 'date' else ''}{date[:10]}"
        for name, date in days
    )
    return dict(
        [
            row(
                "time of Regather ÷ time of this tool (below 1: Regather is faster)",
                "1",
                f"{plain}; {compared(DOWNLOAD, checked)} with its checksum",
                NOT_MEASURED,
                NOT_MEASURED,
                compared(DOWNLOAD, CURL, "wall / curl"),
            ),
            row(
                "the same ratio over TLS",
                "1",
                compared(TLS, aria2, "wall / aria2c"),
                NOT_MEASURED,
                NOT_MEASURED,
                compared(TLS, CURL, "wall / curl"),
            ),
            row(
                "share of three unequal links used",
                record.cell(LINKS, OURS, "of the links"),
                record.cell(LINKS, aria2, "of the links"),
                NOT_MEASURED,
                NOT_MEASURED,
                record.cell(LINKS, "curl, from the fastest", "of the links"),
            ),
            (
                "Measured on ",
                f"Measured on {day} by `make bench`: {LINK}. {TRIED}",
            ),
            (
                "Goals of our own: ",
                f"Goals of our own: {len(missed)} of {len(goals)} are missed. {GOALS} lists all.",
            ),
        ]
    )


def filled(readme: str, performance: str) -> str:
    """Return README.md with the figures of docs/performance.md."""
    made = lines(performance)
    result = []
    for line in readme.splitlines():
        begin = next((start for start in made if line.startswith(start)), None)
        result.append(line if begin is None else made.pop(begin))
    if made:
        raise SystemExit(f"README.md has no line that begins with {next(iter(made))!r}")
    return "\n".join(result) + "\n"


def printed(five: str) -> str:
    """Run the five lines in an empty folder; return what the last two leave on a terminal.

    Without a terminal, progress is printed as lines where a terminal has a display that goes.
    """
    *begin, fourth, fifth = five.splitlines()
    first = "\n".join(begin).replace(" & sleep", " > cluster 2>> shown & sleep")
    script = f"{first}\n{{ {fourth}\n{fifth}\n}} >> shown 2>&1\nkill $!\nwait"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "PATH": path}
        subprocess.run(["bash", "-c", script], cwd=folder, env=environment, check=False)
        shown = (Path(folder) / "shown").read_text(encoding="utf-8")
    return "".join(line for line in shown.splitlines(True) if not PROGRESS.match(line))


def rerun(readme: str) -> str:
    """Return README.md with what the last two of its five lines print today, on this machine."""

    def replaced(found: re.Match[str]) -> str:
        start, five, between, _ = found.groups()
        here = f"printed this on {datetime.now(UTC):%Y-%m-%d}, on {processor()}:"
        return (
            start
            + five
            + re.sub(r"printed this on .*:$", here, between, flags=re.MULTILINE)
            + printed(five)
        )

    return FIVE.sub(replaced, readme, count=1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write README.md anew."""
    parser = argparse.ArgumentParser(prog="python -m bench.readme", description=__doc__)
    parser.add_argument("--run", action="store_true", help="also run its five lines, 4 GB")
    args = parser.parse_args(arguments)
    path = ROOT / "README.md"
    readme = path.read_text(encoding="utf-8")
    if args.run:
        readme = rerun(readme)
    performance = (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    path.write_text(filled(readme, performance), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
