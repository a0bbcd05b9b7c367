"""How to reach single hosts, from the tables ``[host."NAME"]``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from regather.cli.conf.config_file import Config, kind
from regather.errors import UsageError

if TYPE_CHECKING:
    from regather.transport import HostOptions

_FILES = {"cert": "cert", "key-file": "key", "ssh-key": "ssh_key"}
KEYS = (*_FILES, "user", "ftp-tls", "header")


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
