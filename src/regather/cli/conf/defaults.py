"""Tables ``[defaults]`` and ``[COMMAND]``: what options are without being given.

A command line goes before a variable of the environment, that before the configuration, and that
before what is built in.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regather.cli.conf.config_file import Config, Key, kind
from regather.cli.kinds import Kind, kind_of, value_name
from regather.cli.value_types import rate, share, size

EVERY = "defaults"
"""The table for the options of all commands."""
VARIABLES = {
    ("serve", "read_token"): "REGATHER_READ_TOKEN",
    ("serve", "write_token"): "REGATHER_WRITE_TOKEN",
}
"""Variables of the environment in place of options, by command and argument."""
_ONE_CALL = frozenset(
    "help version config no_config json verbose force seed token only_header dry_run fragment "
    "allow_older file_version input select exclude mkdir server at mirror file to out".split()
)
"""What says something of one file or one call, and is no default for any."""
_HASHES = ("HEX", "ALGO:HEX")
_PATHS = (Kind.FILE, Kind.FOLDER, Kind.PLACE)


@dataclass(frozen=True, slots=True)
class Default:
    """What an option is by the configuration."""

    dest: str
    value: Any
    key: Key
    given: Any
    """The value as it stands in the file."""


class _Replaced(list[Any]):
    """A list that a first value from the command line replaces: argparse adds to a copy."""

    def __copy__(self) -> list[Any]:
        return []


def name_of(action: argparse.Action) -> str:
    """The key of an option: its longest name without the hyphens in front."""
    return max(action.option_strings, key=len, default="").lstrip("-")


def settable(parser: argparse.ArgumentParser) -> dict[str, argparse.Action]:
    """The options of a command that a configuration may set, by their keys."""
    return {
        name_of(action): action
        for action in parser._actions
        if action.option_strings
        and not action.required
        and action.dest not in _ONE_CALL
        and value_name(action) not in _HASHES
    }


def defaults_for(
    config: Config,
    command: str,
    parser: argparse.ArgumentParser,
    every: Callable[[], Mapping[str, argparse.ArgumentParser]],
) -> dict[str, Default]:
    """What the configuration says of the options of a command, by their arguments.

    ``every`` makes the parsers of all commands; it is called where a key is not known to this one.
    Raises UsageError.
    """
    found: dict[str, Default] = {}
    options = settable(parser)
    for table in (EVERY, command):
        for name in config.table(table):
            action = options.get(name)
            if action is not None:
                found[action.dest] = _default(config, (table, name), action)
            else:
                _not_here(config, (table, name), parser, options, every)
    _no_rivals(config, parser, found)
    return found


def _not_here(
    config: Config,
    key: Key,
    parser: argparse.ArgumentParser,
    options: Mapping[str, argparse.Action],
    every: Callable[[], Mapping[str, argparse.ArgumentParser]],
) -> None:
    """Raise UsageError for a key that is no option, unless another command has it."""
    table, name = key
    known = set(options)
    taken = {name_of(action) for action in parser._actions}
    if table == EVERY:
        others = every().values()
        known = set().union(*map(settable, others))
        taken = {name_of(action) for other in others for action in other._actions}
        if name in known:
            return
    if name == "token":
        config.wrong(key, "is no default", help='use [host."NAME"] with token-file')
    if name in taken:
        config.wrong(key, "cannot be set here", help=f"give --{name} on the command line")
    config.unknown(key, known, "option")


def _default(config: Config, key: Key, action: argparse.Action) -> Default:
    """Read one value as the command line would. Raises UsageError."""
    given = config.table(*key[:-1])[key[-1]]
    value: Any
    if action.nargs == 0:
        if not isinstance(given, bool):
            config.wrong(key, f"has to be true or false, not {kind(given)}")
        value = given
    elif isinstance(action, argparse._AppendAction):
        several = given if isinstance(given, list) else [given]
        value = _Replaced(_one(config, key, action, one) for one in several)
    else:
        value = _one(config, key, action, given)
    return Default(action.dest, value, key, given)


def _one(config: Config, key: Key, action: argparse.Action, given: object) -> object:
    text = isinstance(given, str)
    number = isinstance(given, int | float) and not isinstance(given, bool)
    if action.type in (None, Path):
        if not text:
            config.wrong(key, f"has to be text in quotes, not {kind(given)}")
    elif action.type in (size, rate, share):
        if not (text or number):
            config.wrong(key, f'has to be a number or text like "10MB", not {kind(given)}')
    elif not number:
        config.wrong(key, f"has to be a number, not {kind(given)}")
    if isinstance(given, str) and (not given or not given.isprintable()):
        config.wrong(key, "must not be empty or hold control characters")
    try:
        word = str(given)
        if kind_of(action) in _PATHS:
            word = word if _is_key(action, word) else config.file(word)
        value = word if action.type is None else action.type(word)  # type: ignore[operator]
    except argparse.ArgumentTypeError as error:
        config.wrong(key, f"is wrong: {error}")
    except ValueError:  # what argparse, too, takes for a wrong value
        config.wrong(key, "is not a whole number")
    if action.choices is not None and value not in action.choices:
        config.wrong(key, f"is not one of {', '.join(map(str, action.choices))}")
    return value


def _is_key(action: argparse.Action, word: str) -> bool:
    """Whether it is a key itself, where an option takes the file of one as well."""
    if value_name(action) != "PUBKEY":
        return False
    from regather.trust.public_key import is_public_key

    return is_public_key(word)


# -- options of which one alone may be given ---------------------------------------------------


def _rivals(parser: argparse.ArgumentParser) -> Iterable[list[str]]:
    for group in parser._mutually_exclusive_groups:
        yield [action.dest for action in group._group_actions]


def _no_rivals(
    config: Config, parser: argparse.ArgumentParser, found: Mapping[str, Default]
) -> None:
    for dests in _rivals(parser):
        both = [found[dest] for dest in dests if dest in found]
        if len(both) > 1:
            config.wrong(both[1].key, f"cannot be set along with {both[0].key[-1]}")


def one_of_each(
    args: argparse.Namespace, parser: argparse.ArgumentParser, found: Mapping[str, Default]
) -> None:
    """Where the command line gives one of several that exclude each other, drop the configured one.

    ``found`` are the defaults that ``parser`` parsed ``args`` with.
    """
    for dests in _rivals(parser):
        given = [dest for dest in dests if getattr(args, dest) is not None]
        if len(given) > 1:
            for dest in given:
                if dest in found:
                    setattr(args, dest, None)
