"""Table ``[alias]``: names for sources, written ``@NAME`` or ``@NAME/file`` on the command line."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Mapping
from typing import Any

from regather.cli.conf.config_file import Config, kind, shown
from regather.errors import UsageError

_NAME = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
_ADDRESS = r"[A-Za-z][A-Za-z0-9+.-]*://.*|(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):\d+(/.*)?"
_DESTS = ("source", "manifest", "server", "to", "fragment", "mirror", "at")
"""The arguments of commands that name sources."""
_READ = ("source", "manifest")
"""Those of them that may be ``-``, standard input."""


def aliases_in(config: Config) -> dict[str, tuple[str, ...]]:
    """What stands for each name: addresses, or paths of folders. Raises UsageError."""
    from regather.sources.addresses import with_scheme

    found = {}
    for name, value in config.table("alias").items():
        key = ("alias", name)
        if not re.fullmatch(_NAME, name):
            config.wrong(
                key, "is no name for a source", help="use letters, digits, dots, hyphens and _"
            )
        values = value if isinstance(value, list) else [value]
        for one in values:
            if not isinstance(one, str):
                config.wrong(key, f"has to be an address or a list of them, not {kind(one)}")
            if not one or not one.isprintable():
                config.wrong(key, "has an address that is empty or holds control characters")
            try:
                with_scheme(one)
            except UsageError as error:  # a password is in it, which nobody is to be shown
                raise UsageError(
                    f"{config.place(*key)}: {shown(key)}: {error.what}", help=error.help
                ) from None
        if not values:
            config.wrong(key, "names no address")
        found[name] = tuple(v if re.fullmatch(_ADDRESS, v) else config.file(v) for v in values)
    return found


def expand(
    args: argparse.Namespace, aliases: Mapping[str, tuple[str, ...]], path: str | None
) -> None:
    """Put what they stand for in place of the aliases on the command line, and of ``-``.

    ``path`` is the configuration's, None where there is none. Raises UsageError.
    """
    for dest in _DESTS:
        value: Any = getattr(args, dest, None)
        if isinstance(value, str):
            made = _meant(dest, value, aliases, path)
            if len(made) > 1:
                raise UsageError(
                    f"{value} is an alias of {len(made)} sources; only one is possible here",
                    help="use an alias for one source",
                )
            setattr(args, dest, made[0])
        elif isinstance(value, list):
            meant = [_meant(dest, v, aliases, path) if isinstance(v, str) else [v] for v in value]
            setattr(args, dest, [one for some in meant for one in some])


def _meant(
    dest: str, text: str, aliases: Mapping[str, tuple[str, ...]], path: str | None
) -> list[str]:
    if text == "-" and dest in _READ:
        return ["/dev/stdin"]
    if not text.startswith("@") or os.path.lexists(text):
        return [text]
    name, slash, rest = text[1:].partition("/")
    if name not in aliases:
        from difflib import get_close_matches

        near = get_close_matches(name, aliases, n=1)
        where = f"in [alias] of {path}" if path else "in a configuration file"
        raise UsageError(
            f"@{name}: no such alias",
            help=f"did you mean @{near[0]}?" if near else f"define it {where}",
        )
    return [base.rstrip("/") + slash + rest if slash else base for base in aliases[name]]
