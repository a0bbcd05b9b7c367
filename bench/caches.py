"""Count what an origin sends while many clients download one file by ordinary caches.

    python -m bench.caches [--clients N] [--caches N] [--size SIZE] [--parity M] [--rate RATE]

The caches are nginx after docs/caches.md, each with its own empty folder.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.caches import nginx_cache

from bench.process import ROOT, environment
from bench.tools import find_regather
from regather.units import parse_size

REGATHER = find_regather() or "regather"


@contextmanager
def _origin(hosted: Path, log: Path, rate: str) -> Iterator[str]:
    """Serve a folder, at a rate in all; HOST:PORT."""
    command = [REGATHER, "serve", str(hosted), "--port", "0", "--json", "--verbose"]
    command += ["--fault", f"slow:{rate}"] if rate else []
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, env=environment(), cwd=ROOT
        ) as process,
    ):
        assert process.stdout is not None
        try:
            yield str(json.loads(process.stdout.readline())["url"]).split("/")[2]
        finally:
            process.terminate()


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
        origin = stack.enter_context(_origin(hosted, log, args.rate))
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
