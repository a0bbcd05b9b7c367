"""``regather serve``."""

from __future__ import annotations

import argparse
import os

from regather.cli.options import values_of
from regather.cli.parsing import Parser
from regather.cli.server_options import (
    add_listening,
    add_listening_display,
    add_tls,
    listening_line,
    server_token,
    warn_of_plain_http,
)
from regather.cli.value_types import size
from regather.errors import UsageError

SUMMARY = "Serve a folder or a file over HTTP."
EXAMPLES = (
    "regather serve hosted/server1 --port 8001",
    "regather serve large_file.txt --port 0 --json",
    "regather serve hosted/server2 --port 8002 --fault slow:20MB --fault reset@0.1",
    "regather serve hosted/server3 --fault die@10s --fault-seed 7",
    "regather serve large_file.txt --host :: --access-log",
    "regather serve store --write-token token.txt --tls-cert cert.pem --tls-key key.pem",
)

COMMON = (
    *("--host", "--port", "--fault", "--read-token", "--write-token", "--tls-cert", "--tls-key"),
    *("--access-log", "--json", "-q"),
)


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument("path", metavar="PATH", help="the folder or file to serve")
    network = parser.section("network")
    add_listening(network)
    faults = parser.section("faults")
    faults.many(
        "--fault SPEC",
        "fail on purpose, KIND[:ARG][@WHEN]; repeatable. KIND is refuse, error:503, reset, "
        "stall, slow:20MB, truncate, corrupt or die; WHEN is the probability for a request (@0.1) "
        "or a time after the start (@10s)",
    )
    faults.value(
        "--fault-seed N",
        "repeat the faults of an earlier run with the same seed and requests (default: others "
        "each time)",
        type=int,
    )
    writing = parser.section("tokens, uploads and TLS (see docs/server.md)")
    writing.description = (
        "The variables REGATHER_READ_TOKEN and REGATHER_WRITE_TOKEN can hold tokens, too."
    )
    writing.value(
        "--read-token FILE", "require the token in FILE from clients that read (default: none)"
    )
    writing.value(
        "--write-token FILE",
        "let clients with the token in FILE store (PUT) and remove (DELETE) files (default: "
        "no client)",
    )
    writing.value("--max-upload SIZE", "refuse larger files (default: no limit)", type=size)
    writing.value(
        "--max-total SIZE",
        "refuse files that make the folder larger than SIZE (default: no limit)",
        type=size,
    )
    add_tls(writing)
    display = parser.section("display")
    add_listening_display(display)


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    from regather.server.serving import serve

    read_token = server_token(args.read_token, "--read-token", "REGATHER_READ_TOKEN")
    write_token = server_token(args.write_token, "--write-token", "REGATHER_WRITE_TOKEN")
    if args.write_token is not None and os.path.isfile(args.path):
        raise UsageError(
            f"{args.path} is a file: uploads are not possible in it",
            help="serve a folder, or leave the token for writing out",
        )
    if read_token or write_token:
        warn_of_plain_http(args)
    serve(
        args.path,
        faults=args.fault,
        read_token=read_token,
        write_token=write_token,
        **values_of(args, "host port fault_seed max_upload max_total tls_cert tls_key"),
        **values_of(args, "access_log log_format"),
        on_listening=listening_line(args, args.path),
    )
    return 0
