"""``regather cluster``: all the servers of a split folder, on this machine."""

from __future__ import annotations

import argparse
import json
import shlex
import time
from pathlib import Path

from regather.cli.options import whole
from regather.cli.signals import end_politely

SUMMARY = "Start a local server for each folder of a split."
EXAMPLES = (
    "regather cluster hosted",
    "regather cluster hosted --first-port 9001",
    "regather cluster hosted --fault corrupt@0.05 --fault-seed 7",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="the folder of a split (split --out DIR)"
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="listen on this address (default: 127.0.0.1)"
    )
    parser.add_argument(
        "--first-port",
        type=whole(0),
        default=0,
        metavar="P",
        help="listen on the ports P, P+1 and so on (default: free ports)",
    )
    parser.add_argument(
        "--fault",
        action="append",
        default=[],
        metavar="SPEC",
        help="make all servers fail like serve --fault; repeatable",
    )
    parser.add_argument(
        "--fault-seed",
        type=int,
        metavar="N",
        help="repeat the faults of an earlier run, like serve --fault-seed",
    )
    parser.add_argument("--json", action="store_true", help="print JSON on standard output")


def run(args: argparse.Namespace) -> int:
    """Run the servers until interrupted."""
    from regather.cluster import Cluster, server_folders
    from regather.server.faults import parse_fault

    for fault in args.fault:
        parse_fault(fault)  # here, that it is told once
    folders = server_folders(args.folder)
    extra = [word for fault in args.fault for word in ("--fault", fault)]
    if args.fault_seed is not None:
        extra += ["--fault-seed", str(args.fault_seed)]
    end_politely()
    with Cluster(
        folders, host=args.host, first_port=args.first_port, arguments=[extra] * len(folders)
    ) as cluster:
        manifests = sorted(args.folder.glob("*.regather.json"))
        source = str(manifests[0]) if manifests else "MANIFEST"
        words = ["regather", "get", source]
        words += [word for url in cluster.urls for word in ("--server", url)]
        if args.json:
            print(json.dumps({"event": "listening", "urls": cluster.urls}), flush=True)
        else:
            for member in cluster.members:
                print(f"{member.url}  {member.folder}")
            print(f"Get it with:\n  {shlex.join(words)}\nCtrl-C stops all.", flush=True)
        try:
            while any(member.process.poll() is None for member in cluster.members):
                time.sleep(0.2)
        except KeyboardInterrupt:
            return 0
    return 0
