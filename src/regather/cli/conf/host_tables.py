"""Tables ``[host."NAME"]``: the token of one server, by HOST or HOST:PORT, and how to reach it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from regather.cli.conf.config_file import Config, kind
from regather.cli.conf.trust_tables import keys_in
from regather.errors import UsageError

if TYPE_CHECKING:
    from regather.transport import HostOptions

_FILES = {"cert": "cert", "key-file": "key", "ssh-key": "ssh_key"}
KEYS = ("token", "token-file", *_FILES, "user", "ftp-tls", "header", "trust")


@dataclass(frozen=True, slots=True)
class HostToken:
    """Where the token for a host stands."""

    host: str
    path: str | None
    """Its file; None where it stands in the configuration itself."""
    place: str
    value: str


def tokens_in(config: Config) -> Iterator[HostToken]:
    """The tokens of all hosts, read from their files; warns where all users can read one.

    Raises UsageError where a table is wrong, or a token cannot be had.
    """
    from regather.cli.options import token_in
    from regather.origins import parse_host

    hosts: dict[tuple[str, int | None], str] = {}
    for name in config.table("host"):
        table = config.table("host", name)
        for key in table:
            if key not in KEYS:
                config.unknown(("host", name, key), KEYS, "key")
        try:
            host = parse_host(name)
        except UsageError as error:
            raise UsageError(
                f"{config.place('host', name)}: {error.what}", help=error.help
            ) from None
        if other := hosts.get(host):
            config.wrong(("host", name), f"is the same host as {other!r}")
        hosts[host] = name
        if "token" in table and "token-file" in table:
            config.wrong(("host", name), "has a token and a token-file", help="leave one out")
        if "token-file" in table:
            path = config.file(config.string("host", name, "token-file"))
            place = config.place("host", name, "token-file")
            yield HostToken(name, path, place, token_in(path, f"{place}: token-file"))
        elif "token" in table:
            yield HostToken(name, None, config.place("host", name, "token"), _inline(config, name))


def _inline(config: Config, name: str) -> str:
    """A token that stands in the configuration. No error shows it."""
    from regather.tokens import flaw_of_token

    key = ("host", name, "token")
    config.keep_secret(key, "is a secret", instead=", or use token-file")
    token = config.string(*key)
    if flaw := flaw_of_token(token):
        config.wrong(key, f"{flaw}: it cannot be sent")
    return token


def host_options_in(config: Config) -> dict[str, HostOptions]:
    """The options of all hosts. Raises UsageError where one is wrong."""
    from regather.transport import HostOptions

    found = {}
    for name in config.table("host"):
        table = config.table("host", name)
        values: dict[str, Any] = {}
        for key, field in _FILES.items():
            if key in table:
                values[field] = config.file(config.string("host", name, key))
        if "user" in table:
            values["user"] = config.string("host", name, "user")
        if "ftp-tls" in table:
            value = values["ftp_tls"] = table["ftp-tls"]
            if not isinstance(value, bool):
                config.wrong(
                    ("host", name, "ftp-tls"), f"has to be true or false, not {kind(value)}"
                )
        if "header" in table:
            values["headers"] = tuple(_headers(config, name, table["header"]))
        if "trust" in table:
            values["trust"] = keys_in(config, "host", name, "trust")
        try:
            found[name] = HostOptions(**values)
        except UsageError as error:
            place = config.place("host", name)
            raise UsageError(f"{place}: {error.what}", help=error.help) from None
    return found


def _headers(config: Config, name: str, given: Any) -> Iterator[tuple[str, str]]:
    """The headers in a list of ``NAME: VALUE``, or in one. No error shows a value."""
    key = ("host", name, "header")
    config.keep_secret(key, "may be a secret")
    for text in given if isinstance(given, list) else [given]:
        header, colon, value = text.partition(":") if isinstance(text, str) else ("", "", "")
        if not colon:
            config.wrong(key, 'has to be texts like "NAME: VALUE"')
        yield header.strip(), value.strip()
