"""Count what an origin sends while many clients download one file by ordinary caches.

    python -m bench.caches [--clients N] [--caches N] [--size SIZE] [--parity M] [--rate RATE]

The caches are nginx after docs/caches.md, each with its own empty folder.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import subprocess
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from tests.support.caches import nginx_cache

from bench.process import ROOT, environment
from bench.servers import OwnServer
from bench.tools import find_regather
from regather.units import parse_size

REGATHER = find_regather() or "regather"


def _regather(*command: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([REGATHER, *command, "--quiet"], env=environment(), cwd=ROOT)


def measure(args: argparse.Namespace, folder: Path) -> Counter[str]:
    """Bytes that the origin sent, by kind of fragment, and its requests."""
    hosted, log = folder / "hosted", folder / "origin.log"
    original = str(folder / "file.bin")
    parity = ["--parity", str(args.parity)] if args.parity else []
    for command in (
        ("generate", original, "--size", args.size),
        ("split", original, "--out", str(hosted), "--fragments", "3", *parity),
    ):
        if _regather(*command).wait():
            raise SystemExit(f"{command[0]} failed")
    name = "file.bin.regather.json"
    manifest = shutil.copy(hosted / name, folder / name)
    changes = [("slice 1m", f"slice {args.slice}")]
    if args.no_lock:
        changes.append(("proxy_cache_lock on;", ""))
    with ExitStack() as stack:
        fault = f"slow:{args.rate}" if args.rate else ""
        origin = stack.enter_context(OwnServer(hosted, fault=fault, log=log)).url.split("/")[2]
        servers: list[str] = []
        for _ in range(args.caches):
            cache = stack.enter_context(nginx_cache(origin, folder, changes))
            servers += ["--server", cache.url]
        clients = [
            _regather("get", str(manifest), *servers, "-o", str(folder / f"out{n}"))
            for n in range(args.clients)
        ]
        codes = [client.wait() for client in clients]
        if any(codes):
            raise SystemExit("a client failed")
    sent: Counter[str] = Counter()
    for line in log.read_text().splitlines():
        _, _, path, _, _, size, _ = line.split()
        sent["parity" if "parity" in path else "data"] += int(size)
        sent["requests"] += 1
    return sent


def main() -> None:
    """Measure, and print what came out."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--caches", type=int, default=3)
    parser.add_argument("--size", default="128MiB")
    parser.add_argument("--parity", type=int, default=1)
    parser.add_argument("--slice", default="1m", help="of nginx")
    parser.add_argument("--no-lock", action="store_true", help="without proxy_cache_lock")
    parser.add_argument("--rate", default="", help="of the origin in all, such as 50MB")
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    size = parse_size(args.size)
    copies = []
    for _ in range(args.runs):
        with tempfile.TemporaryDirectory(prefix="caches-") as scratch:
            sent = measure(args, Path(scratch))
        copies.append((sent["data"] + sent["parity"]) / size)
        print(f"{copies[-1]:.2f} copies", dict(sent), flush=True)
    print(f"median {statistics.median(copies):.2f}")


if __name__ == "__main__":
    main()
