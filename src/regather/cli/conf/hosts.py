"""Tables ``[host."NAME"]``: what belongs to one server, by HOST or HOST:PORT."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from regather.cli.conf import reach
from regather.cli.conf.config_file import Config
from regather.errors import UsageError

KEYS = ("token", "token-file", *reach.KEYS)


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
