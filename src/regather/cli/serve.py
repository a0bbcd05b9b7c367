"""``regather serve``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from regather.errors import UsageError

if TYPE_CHECKING:
    from regather.server.run import Server

SUMMARY = "Serve a folder or a file over HTTP, with faults on purpose where asked for."
EXAMPLES = (
    "regather serve out/server1 --port 8001",
    "regather serve big.iso --host :: --access-log",
    "regather serve out/server2 --port 0 --json",
    "regather serve out/server3 --fault slow:20MB --fault reset@0.1 --fault-seed 7",
    "regather serve out/server4 --fault die@10s",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("path", metavar="PATH", help="folder or file to serve")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=8000, help="port to listen on, 0 for any free one (%(default)s)"
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="SPEC",
        help="fail on purpose, KIND[:ARG][@WHEN]: refuse, error:503, reset, stall, slow:20MB, "
        "truncate, corrupt or die; WHEN is a probability a request (@0.1) or a time after the "
        "start (@10s); may be repeated",
    )
    parser.add_argument(
        "--fault-seed",
        type=int,
        metavar="N",
        help="the same requests in the same order meet the same faults",
    )
    parser.add_argument(
        "--access-log", action="store_true", help="write a line a request to standard error"
    )
    parser.add_argument(
        "--json", action="store_true", help="write the address as one JSON line when listening"
    )
    parser.add_argument(
        "--quiet", action="store_true", help="write no line (but --json's) when listening"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    from regather.server.faults import parse_fault
    from regather.server.run import Server, serve

    faults = tuple(map(parse_fault, args.fault))
    if not 0 <= args.port <= 65535:
        raise UsageError(f"no such port: {args.port}", help="ports go from 0 (any) to 65535")

    def listening(server: Server) -> None:
        if args.json:
            event = {
                "event": "listening",
                "url": server.url,
                "port": server.port,
                "path": args.path,
            }
            print(json.dumps(event), flush=True)
        elif not args.quiet:
            line = f"Serving {args.path} at {server.url}"
            encoding = sys.stdout.encoding or "utf-8"  # the path may hold what it cannot express
            print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)

    return serve(
        lambda: Server(
            Path(args.path),
            host=args.host,
            port=args.port,
            faults=faults,
            fault_seed=args.fault_seed,
            access_log=args.access_log,
        ),
        on_listening=listening,
    )
