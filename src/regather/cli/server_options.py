"""Options and output that all servers share."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable

from regather.cli.documents import print_json
from regather.cli.options import add_request_log, token_in, warn
from regather.cli.parsing import OptionsContainer
from regather.errors import UsageError
from regather.tokens import flaw_of_token, is_loopback


def server_token(path: str | None, option: str, variable: str) -> str | None:
    """The token that a server demands: of an option, else of the environment, else None."""
    if path is not None:
        return token_in(path, option)
    given = os.environ.get(variable)
    if given is not None and (flaw := flaw_of_token(given)):
        raise UsageError(f"{variable}: the token in it {flaw}", help="correct it, or unset it")
    return given


def warn_of_plain_http(args: argparse.Namespace) -> None:
    """Warn where tokens leave this machine without encryption."""
    if args.tls_cert is None and not is_loopback(args.host):
        warn(
            f"tokens and data cross the network to {args.host} without encryption; "
            "use --tls-cert and --tls-key, or a proxy with https"
        )


def add_listening(network: OptionsContainer) -> None:
    """Where a server listens: --host and --port."""
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


def add_tls(group: OptionsContainer) -> None:
    """The certificate of a server: --tls-cert and --tls-key."""
    group.value("--tls-cert FILE", "serve https with the certificate in FILE")
    group.value("--tls-key FILE", "the private key of --tls-cert")


def add_listening_display(display: OptionsContainer) -> None:
    """What a server shows: --access-log, --log-format, --json and --quiet."""
    add_request_log(display)
    display.flag("--json", "print the address as one line of JSON")
    display.flag("-q, --quiet", "do not print the address")


def listening_line(args: argparse.Namespace, what: str) -> Callable[[str, int], None]:
    """What prints where a server listens that serves ``what``, as the options say."""

    def listening(url: str, port: int) -> None:
        if args.json:
            print_json(event="listening", url=url, port=port, path=what)
        elif not args.quiet:
            line = f"Serving {what} at {url}"
            encoding = sys.stdout.encoding or "utf-8"  # the path may hold what it cannot express
            print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)

    return listening
