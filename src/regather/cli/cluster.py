"""``regather cluster``: all the servers of a split folder, on this machine."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from regather.cli import options
from regather.cli.documents import print_json
from regather.cli.page import add_page, add_page_token, page_token, served
from regather.cli.parsing import Parser
from regather.cli.signals import end_politely
from regather.cli.value_types import whole
from regather.errors import UsageError

if TYPE_CHECKING:
    from regather.cluster import Cluster, Member

SUMMARY = "Start a local server for each folder of a split."
EXAMPLES = (
    "regather cluster hosted",
    "regather cluster hosted --first-port 9001",
    "regather cluster hosted --fault 2:die@0.05 --fault-seed 7",
    "regather cluster hosted --page 8080",
)


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "folder", type=Path, metavar="DIR", help="the folder of a split (split --out DIR)"
    )
    parser.value("--host", "listen on this address (default: 127.0.0.1)", default="127.0.0.1")
    parser.value(
        "-p, --first-port P",
        "listen on the ports P, P+1 and so on (default: free ports)",
        type=whole(0),
        default=0,
    )
    parser.many(
        "--fault [N:]SPEC",
        "make all servers, or server N only, fail like serve --fault; repeatable",
    )
    parser.value(
        "--fault-seed N", "repeat the faults of an earlier run, like serve --fault-seed", type=int
    )
    display = parser.section("display")
    options.add_request_log(display)
    display.flag("--json", "print JSON on standard output")
    display.flag("-q, --quiet", "do not print the addresses")
    add_page(parser, "the servers")
    add_page_token(parser)


def run(args: argparse.Namespace) -> int:
    """Run the servers until interrupted."""
    from regather.cluster import Cluster, server_folders

    folders = server_folders(args.folder)
    faults = _faults_by_server(args.fault, len(folders))
    seed = [] if args.fault_seed is None else ["--fault-seed", str(args.fault_seed)]
    common = [*seed, "--log-format", args.log_format, *["-v"][: args.access_log]]
    arguments = [[*(f"--fault={fault}" for fault in some), *common] for some in faults]
    end_politely()
    token = page_token(args)
    manifests = sorted(args.folder.glob("*.regather.json"))
    with (
        Cluster(
            folders, host=args.host, first_port=args.first_port, arguments=arguments
        ) as cluster,
        _page(cluster, manifests, args, token),
    ):
        try:
            source = str(manifests[0]) if manifests else "MANIFEST"
            words = ["regather", "get", source]
            words += [word for url in cluster.urls for word in ("--server", url)]
            if args.json:
                print_json(event="listening", urls=cluster.urls)
            elif not args.quiet:
                for member in cluster.members:
                    print(f"{member.url}  {member.folder}")
                print(f"Get it with:\n  {shlex.join(words)}\nCtrl-C stops all.", flush=True)
            running = list(cluster.members)
            while running:
                for member in [one for one in running if one.process.poll() is not None]:
                    running.remove(member)
                    _tell_end(member, as_json=args.json)
                time.sleep(0.2)
        except KeyboardInterrupt:
            return 0
    return 0


def _page(
    cluster: Cluster, manifests: Sequence[Path], args: argparse.Namespace, token: str | None
) -> AbstractContextManager[object]:
    """The page of ``--page``, which shows what the first manifest describes."""
    if args.page is None:
        return nullcontext()
    from regather.manifest import Manifest
    from regather.page.polled import PolledServers
    from regather.page.recorder import Recorder

    manifest = None
    if manifests:
        manifest = Manifest.from_bytes(manifests[0].read_bytes(), str(manifests[0]))
    polled = PolledServers([(one.url, str(one.folder)) for one in cluster.members], manifest)
    found = None
    if token is not None and manifests:
        from regather.cli.page_check import checks
        from regather.sources.settings import Settings

        found = checks(lambda: [str(manifests[0])], cluster.urls, Settings(retries=0))
    recorder = Recorder("cluster", polled, checks=found)
    return served(lambda: recorder, args, token=token, beside=polled.poll)


def _tell_end(member: Member, *, as_json: bool) -> None:
    code = member.process.returncode
    if as_json:
        print_json(event="ended", url=member.url, code=code)
        return
    how = f"with exit code {code}" if code >= 0 else f"by signal {-code}"
    print(f"regather: {member.url} ended {how}", file=sys.stderr)


def _faults_by_server(given: Sequence[str], servers: int) -> list[list[str]]:
    """The faults of each server, in order; raise UsageError for one that cannot be."""
    from regather.server.faults import parse_fault

    faults: list[list[str]] = [[] for _ in range(servers)]
    for text in given:
        match = re.fullmatch(r"(?:([0-9]+):)?(.*)", text, re.DOTALL)
        assert match is not None
        number, fault = match.groups()
        parse_fault(fault)  # here, so that an error is reported once
        if number is not None and not 1 <= int(number) <= servers:
            raise UsageError(
                f"--fault {text}: there is no server {number}",
                help=f"the servers are 1 to {servers}",
            )
        for n in range(servers):
            if number is None or int(number) == n + 1:
                faults[n].append(fault)
    return faults
