"""``python -m bench.trials``: what other tools do where the README says *no*.

Three trials for each tool that is installed, with real servers and real bytes: one of two mirrors
has a wrong byte; the tool is killed halfway and the same command is called again; which name the
unfinished file has at the kill.
"""

from __future__ import annotations

import argparse
import filecmp
import hashlib
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import regather
from bench.process import environment
from bench.servers import OwnServer
from bench.tools import find_regather

SIZE = 60_000_000
RATE = "20MB"
HALF = 0.4
LIMIT = 120.0
Command = Callable[[Sequence[str], Path], list[str]]


@dataclass(frozen=True, slots=True)
class Tool:
    """A way to call a program: with the URLs of all mirrors, or of the first, and a destination."""

    name: str
    command: Command


def tools(sha256: str, metalink: Callable[[Sequence[str]], Path]) -> list[Tool]:
    """Return the tools that are installed."""
    ours = find_regather() or "regather"

    def aria2c(*options: str) -> Command:
        return lambda urls, dest: [
            *("aria2c", "-q", *options, "-s4", "-x4", "-k1M"),
            *(f"--dir={dest.parent}", f"--out={dest.name}", *urls),
        ]

    listed: list[Tool] = [
        Tool(
            "regather, --sha256",
            lambda urls, dest: [ours, "get", *urls, "--sha256", sha256, "-q", "-o", str(dest)],
        ),
        Tool("aria2c", aria2c()),
        Tool("aria2c, checksum", aria2c(f"--checksum=sha-256={sha256}")),
        Tool(
            "aria2c, Metalink with hashes of pieces",
            lambda urls, dest: ["aria2c", "-q", f"--dir={dest.parent}", str(metalink(urls))],
        ),
        Tool("curl -C -", lambda urls, dest: ["curl", "-sf", "-C", "-", "-o", str(dest), urls[0]]),
        Tool("wget2 -c", lambda urls, dest: ["wget2", "-q", "-c", "-O", str(dest), urls[0]]),
        Tool("rclone copyurl", lambda urls, dest: ["rclone", "copyurl", urls[0], str(dest)]),
    ]
    return [
        tool for tool in listed if shutil.which(tool.command(["http://a.example/"], Path("d"))[0])
    ]


def sent(url: str) -> int:
    """Return how many bytes of bodies a server of ours has sent."""
    with urllib.request.urlopen(f"{url}-/health") as answer:
        return int(json.load(answer)["bytes_sent"])


def start(command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a tool that says nothing here."""
    return subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment()
    )


def outcome(code: int, dest: Path, original: Path) -> str:
    """Say what a tool left, in the words of a table."""
    if dest.exists() and filecmp.cmp(dest, original, shallow=False):
        return f"right, exit code {code}"
    return f"{'WRONG' if dest.exists() else 'no'} file, exit code {code}"


def one_wrong_byte(tool: Tool, original: Path, folder: Path) -> str:
    """Download from two mirrors, the first of which has one byte inverted."""
    wrong, right = folder / "wrong", folder / "right"
    for mirror in (wrong, right):
        mirror.mkdir()
        shutil.copy(original, mirror / original.name)
    with (wrong / original.name).open("r+b") as file:
        file.seek(SIZE // 2 + 12_345)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 255]))
    dest = folder / "to" / original.name
    dest.parent.mkdir()
    with OwnServer(wrong) as first, OwnServer(right) as second:
        urls = [server.url + original.name for server in (first, second)]
        code = start(tool.command(urls, dest)).wait(LIMIT)
    return outcome(code, dest, original)


def killed_halfway(tool: Tool, original: Path, folder: Path) -> tuple[str, str]:
    """Kill a tool and call it again; return what came of it, and the name at the kill."""
    dest = folder / "to" / original.name
    dest.parent.mkdir()
    with OwnServer(original.parent, fault=f"slow:{RATE}") as server:
        command = tool.command([server.url + original.name], dest)
        process = start(command)
        while sent(server.url) < HALF * SIZE and process.poll() is None:
            time.sleep(0.05)
        process.kill()
        process.wait()
        name = "final" if dest.exists() else "another"
        before = sent(server.url)
        code = start(command).wait(LIMIT)
        again = (sent(server.url) - before) / SIZE
    return f"{outcome(code, dest, original)}, {again:.0%} fetched again", name


def main(arguments: Sequence[str] | None = None) -> int:
    """Try each tool, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m bench.trials", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only tools whose names have one")
    args = parser.parse_args(arguments)
    print(
        "| tool | one wrong byte in one of two mirrors | killed, called again | name at the kill |"
    )
    print("| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory(prefix="regather-trials-") as place:
        root = Path(place)
        original = root / "hosted" / "file.bin"
        original.parent.mkdir()
        original.write_bytes(random.Random(1).randbytes(SIZE))
        sha256 = hashlib.sha256(original.read_bytes()).hexdigest()
        regather.split(original, root / "split", fragments=1)

        def metalink(urls: Sequence[str]) -> Path:
            manifest = root / "split" / "file.bin.regather.json"
            path = root / "file.meta4"
            path.write_bytes(regather.export_metalink(manifest, file=original, mirrors=urls))
            return path

        for number, tool in enumerate(tools(sha256, metalink)):
            if args.words and not any(word in tool.name for word in args.words):
                continue
            folder = root / str(number)
            (folder / "a").mkdir(parents=True)
            (folder / "b").mkdir()
            wrong = one_wrong_byte(tool, original, folder / "a")
            resumed, name = killed_halfway(tool, original, folder / "b")
            print(f"| {tool.name} | {wrong} | {resumed} | {name} |", flush=True)
            shutil.rmtree(folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
