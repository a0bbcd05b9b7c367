"""``regather serve``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from regather.cli.options import size, token_in, warn
from regather.errors import UsageError
from regather.tokens import flaw_of_token, is_loopback

if TYPE_CHECKING:
    from regather.server.run import Server

SUMMARY = "Serve a folder or a file over HTTP, with faults on purpose where asked for."
EXAMPLES = (
    "regather serve out/server1 --port 8001",
    "regather serve big.iso --host :: --access-log",
    "regather serve out/server2 --port 0 --json",
    "regather serve out/server3 --fault slow:20MB --fault reset@0.1 --fault-seed 7",
    "regather serve out/server4 --fault die@10s",
    "regather serve store --write-token token.txt --tls-cert cert.pem --tls-key key.pem",
)


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    parser.add_argument("path", metavar="PATH", help="folder or file to serve")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: %(default)s; :: and 0.0.0.0 are all)",
    )
    parser.add_argument(
        "--port",
        type=int,
        default=8000,
        help="port to listen on, 0 for any free one (default: %(default)s)",
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
        help="the same requests in the same order meet the same faults (default: others each time)",
    )
    writing = parser.add_argument_group(
        "tokens, uploads and TLS (see docs/server.md)",
        "Tokens come from files, or from REGATHER_READ_TOKEN and REGATHER_WRITE_TOKEN.",
    )
    writing.add_argument(
        "--read-token",
        metavar="FILE",
        help="demand the token in FILE of all who read (default: everyone may)",
    )
    writing.add_argument(
        "--write-token",
        metavar="FILE",
        help="take files (PUT) and remove them (DELETE) for those who show the token in FILE "
        "(default: nobody may)",
    )
    writing.add_argument(
        "--max-upload",
        type=size,
        metavar="SIZE",
        help="the largest file that is taken (default: no limit)",
    )
    writing.add_argument(
        "--max-total",
        type=size,
        metavar="SIZE",
        help="most that all files of the folder may take (default: no limit)",
    )
    writing.add_argument("--tls-cert", metavar="FILE", help="serve https with this certificate")
    writing.add_argument("--tls-key", metavar="FILE", help="the private key of --tls-cert")
    parser.add_argument(
        "--access-log", action="store_true", help="write a line a request to standard error"
    )
    parser.add_argument(
        "--json", action="store_true", help="write the address as one JSON line when listening"
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="write no line (but --json's) when listening"
    )


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    from regather.server.faults import parse_fault
    from regather.server.run import Server, serve
    from regather.server.tls import tls_context
    from regather.server.tokens import Tokens
    from regather.server.writing import Limits

    faults = tuple(map(parse_fault, args.fault))
    if not 0 <= args.port <= 65535:
        raise UsageError(f"no such port: {args.port}", help="ports go from 0 (any) to 65535")

    if (args.tls_cert is None) != (args.tls_key is None):
        raise UsageError("TLS needs both a certificate and its key", help="--tls-cert --tls-key")
    tls = tls_context(args.tls_cert, args.tls_key) if args.tls_cert is not None else None
    tokens = Tokens(
        read=_token(args.read_token, "--read-token", "REGATHER_READ_TOKEN"),
        write=_token(args.write_token, "--write-token", "REGATHER_WRITE_TOKEN"),
    )
    if args.write_token is not None and os.path.isfile(args.path):
        raise UsageError(
            f"{args.path} is a file: nothing can be stored in it",
            help="serve a folder, or leave the token for writing out",
        )
    if tokens.write is None and (args.max_upload is not None or args.max_total is not None):
        raise UsageError("limits for uploads without uploads", help="add --write-token FILE")
    if tokens.any and tls is None and not is_loopback(args.host):
        warn(
            f"tokens and data cross the network to {args.host} readable for all on the way; "
            "use --tls-cert and --tls-key, or a proxy that speaks https"
        )

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
            tokens=tokens,
            limits=Limits(upload=args.max_upload, total=args.max_total),
            tls=tls,
        ),
        on_listening=listening,
    )


def _token(path: str | None, option: str, variable: str) -> str | None:
    """The token of an option, else of the environment, else None."""
    if path is not None:
        return token_in(path, option)
    given = os.environ.get(variable)
    if given is not None and (flaw := flaw_of_token(given)):
        raise UsageError(f"{variable}: the token in it {flaw}", help="set it right, or unset it")
    return given
