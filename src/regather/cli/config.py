"""``regather config``: what holds without being said, and who says so."""

from __future__ import annotations

import argparse
import json
import os
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from regather.cli.options import add_config
from regather.cli.parsing import Parser

if TYPE_CHECKING:
    from regather.cli.conf.config_file import Config

SUMMARY = "Show the settings and their origins."
EXAMPLES = (
    "regather config",
    "regather config get",
    "regather config get --json",
    "regather config --config other.toml",
)
_BUILT_IN = "built-in"
_SECRET = "(a secret)"
_Settings = dict[str, dict[str, Any]]
"""By name: its ``value``, and ``from`` where that is."""
_Document = dict[str, Any]
"""What --json prints."""


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument(
        "of", nargs="?", metavar="COMMAND", help="show the options of this command only"
    )
    parser.flag("--json", "print JSON on standard output")
    add_config(parser, default=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> int:
    """Show it. Raises UsageError where the file is wrong."""
    document, path = _look(args)
    print(json.dumps(document, default=str) if args.json else _text(document, path))
    return 0


def _look(args: argparse.Namespace) -> tuple[_Document, str | None]:
    """All that holds, and the path of the file that says so, whether or not it is there."""
    from regather.cli import parser_of
    from regather.cli.commands import COMMANDS, UNCONFIGURED
    from regather.cli.conf import check_tables
    from regather.cli.conf.aliases import aliases_in
    from regather.cli.conf.config_file import Config, find, load
    from regather.cli.conf.trust_tables import trust_names_in
    from regather.cli.parsing import commands_of
    from regather.errors import UsageError

    names = [name for name in COMMANDS if name not in UNCONFIGURED]
    if args.of is not None and args.of not in names:
        raise UsageError(
            f"no command {args.of!r} that a configuration is for", help=f"known: {', '.join(names)}"
        )
    found = find(args.config, unwanted=args.no_config, environment=os.environ)
    config = load(args.config, unwanted=args.no_config, environment=os.environ)
    path = found[0] if found else None
    check_tables(read := config or Config("", {}, ""))
    parsers = commands_of(parser_of())
    shown = [args.of] if args.of is not None else names
    aliases = {
        name: _setting(list(values), read.place("alias", name))
        for name, values in aliases_in(read).items()
    }
    document: _Document = {
        "file": path if config is not None else None,
        "options": {name: _options(read, name, parsers) for name in shown},
        "aliases": aliases,
        "trust": {
            name: _setting(list(keys), read.place("trust", name))
            for name, keys in trust_names_in(read).items()
        },
        "tokens": _tokens(read),
    }
    return document, path


def _setting(value: Any, origin: str) -> dict[str, Any]:
    return {"value": value, "from": origin}


def _options(
    config: Config, command: str, parsers: Mapping[str, argparse.ArgumentParser]
) -> _Settings:
    """Every option of a command that can be configured."""
    from regather.cli.conf.defaults import VARIABLES, defaults_for, name_of, settable

    found = defaults_for(config, command, parsers[command], lambda: parsers)
    shown = {}
    for action in settable(parsers[command]).values():
        variable = VARIABLES.get((command, action.dest), "")
        if variable in os.environ:
            setting = _setting("(a token)", f"environment {variable}")
        elif action.dest in found:
            default = found[action.dest]
            setting = _setting(_open(name_of(action), default.given), config.place(*default.key))
        else:
            setting = _setting(action.default, _BUILT_IN)
        shown[name_of(action)] = setting
    return shown


def _open(name: str, value: Any) -> Any:
    """The value of an option without what may be a secret in it."""
    if isinstance(value, list):
        return [_open(name, one) for one in value]
    if not isinstance(value, str):
        return value
    if name == "proxy" and "@" in value:
        scheme, slashes, login = value.rpartition("@")[0].rpartition("://")
        return f"{scheme}{slashes}{_SECRET}@{value.rpartition('@')[2]}" if login else value
    first, equals, rest = value.partition("=")
    if name == "header" and not rest.startswith("@"):
        return f"{first}={rest.partition(':')[0]}: {_SECRET}" if ":" in rest else _SECRET
    if name == "store-option" and re.search("key|secret|token", first, re.IGNORECASE):
        return f"{first}{equals}{_SECRET}"
    return value


def _tokens(config: Config) -> _Settings:
    """Where tokens of hosts come from, in the order in which they count."""
    from regather.cli.conf.host_tables import tokens_in
    from regather.transport import Credentials

    Credentials.gather()  # says what is wrong with those of the environment
    shown = {}
    for variable in sorted(os.environ):
        if variable.startswith("REGATHER_TOKEN_"):
            shown[variable.removeprefix("REGATHER_TOKEN_")] = _setting(
                "(a token)", f"environment {variable}"
            )
    for pair in os.environ.get("REGATHER_TOKEN", "").split():
        shown[pair.partition("=")[0]] = _setting("(a token)", "environment REGATHER_TOKEN")
    for one in tokens_in(config):
        shown.setdefault(one.host, _setting(one.path or "(a token)", one.place))
    return shown


def _text(document: _Document, path: str | None) -> str:
    """For people: as it would stand in the file, and on the right who says so."""
    there = "" if document["file"] else ": not there"
    lines = ["# no configuration file is read" if path is None else f"# {path}{there}"]
    tables = {f"[{name}]": settings for name, settings in document["options"].items()}
    tables["[alias]"] = document["aliases"]
    tables["[trust]"] = document["trust"]
    tables["tokens"] = document["tokens"]
    for title, settings in tables.items():
        if settings:
            rows = [(f"{n} = {_value(s['value'])}", s["from"]) for n, s in settings.items()]
            wide = min(max(len(left) for left, _ in rows), 40)
            lines += ["", title, *(f"{left:<{wide}}  # {origin}" for left, origin in rows)]
    return "\n".join(lines)


def _value(value: object) -> str:
    if value in (None, [], ""):
        return "(nothing)"
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value, ensure_ascii=False, default=str)
