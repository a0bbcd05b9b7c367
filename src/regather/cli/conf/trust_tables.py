"""Keys in the configuration: table ``[trust]``, by patterns of names, and ``trust`` of hosts."""

from __future__ import annotations

from typing import Any

from regather.cli.conf.config_file import Config, kind
from regather.errors import UsageError


def keys_in(config: Config, *key: str) -> tuple[str, ...]:
    """The public keys under a key: one or a list, each a key itself or a file with one.

    Raises UsageError.
    """
    from regather.trust.public_key import is_public_key, public_key

    value: Any = config.table(*key[:-1])[key[-1]]
    found = []
    for given in value if isinstance(value, list) else [value]:
        if not isinstance(given, str):
            config.wrong(key, f"has to be a public key or a list of them, not {kind(given)}")
        if not given or not given.isprintable():
            config.wrong(key, "must not be empty or hold control characters")
        found.append(given if is_public_key(given) else config.file(given))
        try:
            public_key(found[-1])
        except UsageError as error:
            raise UsageError(f"{config.place(*key)}: {error.what}", help=error.help) from None
    if not found:
        config.wrong(key, "names no key")
    return tuple(found)


def trust_names_in(config: Config) -> dict[str, tuple[str, ...]]:
    """The keys by patterns of names. Raises UsageError."""
    return {pattern: keys_in(config, "trust", pattern) for pattern in config.table("trust")}
