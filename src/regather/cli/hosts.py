"""Options for single hosts, in the form HOST=WHAT, as --token has it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regather.cli.parsing import OptionsContainer
from regather.errors import UsageError, unusable

if TYPE_CHECKING:
    from regather.transport import HostOptions

_FILES = {
    "cert": ("--cert", "authenticate to HOST with the client certificate in FILE, in PEM"),
    "key": ("--key-file", "the private key of --cert, if it is in another file"),
    "ssh_key": ("--ssh-key", "authenticate to the SFTP server HOST with the private key in FILE"),
}


def add_hosts(parser: OptionsContainer) -> None:
    """The options; see hosts_of. Each may be repeated, for other hosts."""
    for name, (option, text) in _FILES.items():
        parser.many(f"{option} HOST=FILE", text, dest=name)
    parser.many(
        "--header HOST=NAME: VALUE",
        "send this header to HOST (or HOST:PORT) only; HOST=@FILE: the headers in FILE",
    )
    parser.many(
        "-H NAME: VALUE",
        "send this header to the only host on the command line; @FILE: the headers in FILE",
        dest="only_header",
    )
    parser.many("--ftp-tls HOST", "use TLS with the FTP server HOST on its usual port (AUTH TLS)")
    parser.value(
        "--known-hosts FILE",
        "accept the host keys in FILE of SFTP servers (default: ~/.ssh/known_hosts)",
    )


def add_ways(parser: OptionsContainer) -> None:
    """The options on the way to servers: proxies, cookies, HTTP/2."""
    parser.value(
        "--proxy URL",
        "connect through this proxy: http://, https://, socks4://, socks4a://, socks5:// or "
        "socks5h://HOST:PORT; '' for none (default: the variables http_proxy, https_proxy and "
        "all_proxy)",
    )
    parser.value(
        "--no-proxy HOSTS",
        "connect to these hosts without a proxy, separated by commas; '*' for all (default: "
        "the variable no_proxy)",
    )
    parser.value("--cookies FILE", "send the cookies in FILE, in the Netscape format")
    parser.flag("--http2", "use HTTP/2 with https servers that offer it")


def hosts_of(args: argparse.Namespace) -> dict[str, HostOptions]:
    """What the options of add_hosts say, by host, and else the configuration. Raises UsageError."""
    from msgspec.structs import replace

    from regather.origins import parse_host
    from regather.transport import HostOptions

    hosts: dict[str, HostOptions] = dict(args.config_hosts)
    known = {parse_host(name): name for name in hosts}
    shown: dict[str, tuple[tuple[str, str], ...]] = {}

    def change(host: str, **values: Any) -> None:
        name = known.setdefault(parse_host(host), host)
        hosts[name] = replace(hosts.get(name, HostOptions()), **values)

    for name, (option, _) in _FILES.items():
        for host, path in pairs(getattr(args, name), option, "HOST=FILE"):
            # A certificate of the configuration brings its own key.
            change(host, **{name: path}, **({"key": ""} if name == "cert" else {}))
    given = list(pairs(args.header, "--header", "HOST=NAME: VALUE"))
    if args.only_header:
        host = _only_host(args)
        given += [(host, text) for text in args.only_header]
    for host, text in given:
        shown[host] = (*shown.get(host, ()), *_headers(text))
        change(host, headers=shown[host])
    for host in args.ftp_tls:
        change(host, ftp_tls=True)
    return hosts


_ASKED = ("source", "manifest", "server", "fragment", "to")
"""The arguments that name who is asked."""


def _only_host(args: argparse.Namespace) -> str:
    """The one host that the command line names. Raises UsageError where there is none, or more.

    What a manifest names does not count: a header may be a secret, which it must not ask for.
    """
    from regather.sources.addresses import with_scheme

    hosts = set()
    for dest in _ASKED:
        value = getattr(args, dest, None) or ()
        for text in [value] if isinstance(value, str) else value:
            scheme, _, rest = with_scheme(text).partition("://")
            if scheme in ("http", "https"):
                hosts.add(rest.partition("/")[0].rpartition("@")[2])
    if len(hosts) == 1 and getattr(args, "input", None) is None:
        return hosts.pop()
    named = ", ".join(sorted(hosts)) if hosts else "no host"
    raise UsageError(
        f"-H is for one host, and the command line names {named}",
        help="name the host: --header 'HOST=NAME: VALUE'",
    )


def _headers(text: str) -> Iterator[tuple[str, str]]:
    """The header in ``NAME: VALUE``, or those in the file of ``@FILE``. Raises UsageError."""
    lines = [text]
    if text.startswith("@"):
        try:
            lines = Path(text[1:]).read_text("latin-1").splitlines()
        except OSError as error:
            raise unusable(text[1:], "--header", error) from None
    for line in filter(str.strip, lines):
        name, colon, value = line.partition(":")
        if not colon:  # not shown: it may be a secret
            raise UsageError("a header without a colon", help="write it as NAME: VALUE")
        yield name.strip(), value.strip()


def pairs(
    given: Sequence[str], option: str, form: str, help: str = "name the host that it is for"
) -> Iterator[tuple[str, str]]:
    """Hosts and values of an option that has the form HOST=VALUE. Raises UsageError."""
    for text in given:
        host, equals, value = text.partition("=")
        if not equals or not value or not _is_host(host):
            # Not shown: it may be a secret.
            raise UsageError(f"{option} needs {form}", help=help)
        yield host, value


def _is_host(text: str) -> bool:
    from regather.origins import parse_host

    try:
        parse_host(text)
    except UsageError:
        return False
    return True
