"""Options for single hosts, in the form HOST=WHAT, as --token has it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from regather.errors import UsageError

if TYPE_CHECKING:
    from regather.transport import HostOptions

_FILES = {
    "ssh_key": ("--ssh-key", "log in to the SFTP server HOST with this private key"),
}


def add_hosts(parser: argparse._ActionsContainer) -> None:
    """The options; see hosts_of. Each may be repeated, for other hosts."""
    for name, (option, text) in _FILES.items():
        parser.add_argument(
            option, action="append", default=[], dest=name, metavar="HOST=FILE", help=text
        )
    parser.add_argument(
        "--ftp-tls",
        action="append",
        default=[],
        metavar="HOST",
        help="speak TLS with the FTP server HOST on its usual port (AUTH TLS)",
    )
    parser.add_argument(
        "--known-hosts",
        metavar="FILE",
        help="the host keys of SFTP servers (~/.ssh/known_hosts); others are refused",
    )


def hosts_of(args: argparse.Namespace) -> dict[str, HostOptions]:
    """What the options of add_hosts say, by host. Raises UsageError."""
    from regather.transport import HostOptions

    hosts: dict[str, HostOptions] = {}
    for name, (option, _) in _FILES.items():
        for host, path in _pairs(getattr(args, name), option, "HOST=FILE"):
            change: dict[str, Any] = {name: path}
            hosts[host] = replace(hosts.get(host, HostOptions()), **change)
    for host in args.ftp_tls:
        hosts[host] = replace(hosts.get(host, HostOptions()), ftp_tls=True)
    return hosts


def _pairs(given: Sequence[str], option: str, form: str) -> Iterator[tuple[str, str]]:
    for text in given:
        host, equals, value = text.partition("=")
        if not equals or not host or not value:
            raise UsageError(f"{option} needs {form}", help="say which host it is for")
        yield host, value
