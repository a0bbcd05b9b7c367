"""``regather serve``."""

from __future__ import annotations

import argparse
import os
import sys

from regather.cli.documents import print_json
from regather.cli.options import add_request_log, token_in, values_of, warn
from regather.cli.parsing import Parser
from regather.cli.value_types import size
from regather.errors import UsageError
from regather.tokens import flaw_of_token, is_loopback

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
    network.value(
        "--host",
        "listen on this address; :: and 0.0.0.0 are all addresses (default: 127.0.0.1)",
        default="127.0.0.1",
    )
    network.value(
        "-p, --port",
        "listen on this port; 0 is any free port (default: 8000)",
        type=int,
        default=8000,
    )
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
    writing.value("--tls-cert FILE", "serve https with the certificate in FILE")
    writing.value("--tls-key FILE", "the private key of --tls-cert")
    display = parser.section("display")
    add_request_log(display)
    display.flag("--json", "print the address as one line of JSON")
    display.flag("-q, --quiet", "do not print the address")


def run(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    from regather.server.serving import serve

    read_token = _token(args.read_token, "--read-token", "REGATHER_READ_TOKEN")
    write_token = _token(args.write_token, "--write-token", "REGATHER_WRITE_TOKEN")
    if args.write_token is not None and os.path.isfile(args.path):
        raise UsageError(
            f"{args.path} is a file: uploads are not possible in it",
            help="serve a folder, or leave the token for writing out",
        )
    if (read_token or write_token) and args.tls_cert is None and not is_loopback(args.host):
        warn(
            f"tokens and data cross the network to {args.host} without encryption; "
            "use --tls-cert and --tls-key, or a proxy with https"
        )

    def listening(url: str, port: int) -> None:
        if args.json:
            print_json(event="listening", url=url, port=port, path=args.path)
        elif not args.quiet:
            line = f"Serving {args.path} at {url}"
            encoding = sys.stdout.encoding or "utf-8"  # the path may hold what it cannot express
            print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)

    serve(
        args.path,
        faults=args.fault,
        read_token=read_token,
        write_token=write_token,
        **values_of(args, "host port fault_seed max_upload max_total tls_cert tls_key"),
        **values_of(args, "access_log log_format"),
        on_listening=listening,
    )
    return 0


def _token(path: str | None, option: str, variable: str) -> str | None:
    """The token of an option, else of the environment, else None."""
    if path is not None:
        return token_in(path, option)
    given = os.environ.get(variable)
    if given is not None and (flaw := flaw_of_token(given)):
        raise UsageError(f"{variable}: the token in it {flaw}", help="correct it, or unset it")
    return given
