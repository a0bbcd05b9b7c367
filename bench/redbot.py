"""What REDbot, a lint for HTTP, notes of every kind of address of ``serve`` and ``gateway``.

    pipx install redbot==2.7.1
    python -m bench.redbot [PROGRAM]

Prints each note that is a warning or worse, with the addresses that it is of.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import regather
from bench.process import environment
from bench.servers import OwnGateway, OwnServer

_FINE = ("GOOD", "INFO")


def _notes(program: str, url: str) -> Iterator[tuple[str, str]]:
    """Level and words of what is noted of an address."""
    done = subprocess.run(
        [program, "-o", "har", url], capture_output=True, check=True, timeout=120, env=environment()
    )
    entries = json.loads(done.stdout)["log"]["entries"]
    waiting: list[dict[str, Any]] = [note for one in entries for note in one["_red_messages"]]
    while waiting:
        note = waiting.pop()
        waiting += note.get("subnotes", [])
        yield note["level"], note["summary"]


def _addresses(folder: Path, stack: ExitStack) -> Iterator[str]:
    """One of each kind; the name is that of the site and the path."""
    hosted = folder / "hosted"
    (folder / "tree/sub").mkdir(parents=True)
    for name in ("file.bin", "page.html", "empty.txt", "tree/one.txt", "tree/sub/two.csv"):
        (folder / name).write_bytes(b"" if "empty" in name else name.encode() * 5000)
    manifest = regather.split(folder / "file.bin", hosted, servers=1, sha256=True)
    tree = regather.split(folder / "tree", hosted / "tree-of", servers=1)
    served = stack.enter_context(OwnServer(folder)).url
    for path in ("file.bin", "page.html", "empty.txt", "tree/sub/two.csv", "absent", "a/../b"):
        yield served + path
    fragments = hosted / "server1"
    yield stack.enter_context(OwnServer(fragments)).url + "file.bin.regather.json"
    sources = [str(fragments), str(hosted / "tree-of/server1")]
    manifests = folder / "manifests"
    manifests.mkdir()
    for made in (manifest, tree):
        (manifests / f"{made.name}.regather.json").write_bytes(made.to_bytes())
    gateway = stack.enter_context(OwnGateway(manifests, sources)).url
    below = f"d/{manifest.digest}"
    for path in (
        *("", "file.bin", "file.bin.regather.json", "tree/", "tree/one.txt", "tree.tar", "absent"),
        *(f"{below}/file.bin", f"{below}/file.bin.regather.json"),
        *(f"{below}/{manifest.fragments[0].name}", f"d/{tree.digest}/tree/sub/two.csv"),
    ):
        yield gateway + path
    for site in (served, gateway):
        for path in ("health", "ready", "metrics"):
            yield f"{site}-/{path}"


def main(program: str = "redbot") -> None:
    """Ask it of every address."""
    noted: dict[tuple[str, str], list[str]] = {}
    with tempfile.TemporaryDirectory(prefix="redbot-") as folder, ExitStack() as stack:
        count = 0
        for url in _addresses(Path(folder), stack):
            count += 1
            for level, summary in _notes(program, url):
                if level not in _FINE:
                    noted.setdefault((level, summary), []).append("/" + url.split("/", 3)[3])
    print(f"{count} addresses")
    for (level, summary), where in sorted(noted.items()):
        print(f"{level:5} {summary} [{len(where)}: {', '.join(where)}]")


if __name__ == "__main__":
    main(*sys.argv[1:])
