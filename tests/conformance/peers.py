"""What aria2, curl and wget2 make of the odd servers, beside us: the table in docs/mirrors.md.

    python -m tests.conformance.peers [WORD...]

A word chooses the servers in whose name it stands. Tools that are missing are left out.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.conformance.odd import NAME, SIZE, WAYS, fetch, outcome_of
from tests.support.files import random_file
from tests.support.odd import ODD, odd_server

_SECONDS = 20
TOOLS: dict[str, Callable[[Path, str], list[str]]] = {
    "aria2c": lambda got, url: [
        *("aria2c", "--no-conf", "-q", "-x4", "-s4", "-k1M", "--max-tries=3", "--retry-wait=1"),
        *("--file-allocation=none", "-d", str(got.parent), "-o", got.name, url),
    ],
    "curl": lambda got, url: ["curl", "-qsSfL", "-o", str(got), url],
    "wget2": lambda got, url: [
        *("wget2", "--no-config", "-q", "--tries=3", "--waitretry=1", "-O", str(got), url),
    ],
}
"""aria2 with ranges, as we use them; curl and wget2 as they are by default, without."""


def _by(tool: str, kind: str, content: bytes, folder: Path) -> str:
    got = folder / NAME
    with odd_server(kind, content) as server:
        try:
            done = subprocess.run(
                TOOLS[tool](got, server.url + NAME),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"nothing in {_SECONDS} s"
    if done.returncode:
        return "refused"
    return outcome_of(kind, content, got) if got.exists() else "exit code 0, no file"


def _row(kind: str, tools: list[str], folder: Path) -> str:
    content = (folder / NAME).read_bytes()
    ours = [fetch(kind, way, folder) for way in WAYS]
    ours = [outcome if outcome in ("right", "WRONG") else "refused" for outcome in ours]
    cells = [ours[0] if len(set(ours)) == 1 else ", ".join(ours)]
    for tool in tools:
        with tempfile.TemporaryDirectory() as place:
            cells.append(_by(tool, kind, content, Path(place)))
    return f"| {kind} | {' | '.join(cells)} |"


def main(words: list[str]) -> None:
    """Print the table."""
    tools = [tool for tool in TOOLS if shutil.which(tool)]
    print(f"| server | regather ({', '.join(WAYS)}) | {' | '.join(tools)} |")
    print("| --- " * (2 + len(tools)) + "|")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        random_file(folder / NAME, SIZE)
        for kind in ODD:
            if not words or any(word in kind for word in words):
                print(_row(kind, tools, folder), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
