"""The configuration file: where it is, what stands in it, and what the commands make of it.

``config_file`` reads it and knows on which line a key stands; ``defaults``, ``aliases`` and
``host_tables`` each know some of its tables.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from regather.cli.commands import COMMANDS, UNCONFIGURED
from regather.cli.conf.aliases import aliases_in, expand
from regather.cli.conf.config_file import Config, load

if TYPE_CHECKING:
    from regather.transport import HostOptions

TABLES = ("defaults", "alias", "host", "trust")
"""Those that belong to no command."""


def configured(
    args: argparse.Namespace,
    parser: argparse.ArgumentParser,
    parsed: Callable[[], argparse.Namespace],
    every: Callable[[], dict[str, argparse.ArgumentParser]],
) -> argparse.Namespace:
    """What a command is called with, by its configuration file too.

    ``args`` are as the command line alone has them; ``parser`` is that of the command, and
    ``parsed`` parses once more, with its new defaults;
    ``every`` gives the parsers of all commands. ``config_tokens``, ``config_hosts`` and
    ``config_trust`` are added: the tokens and the other options of the configuration, by host, and
    keys by name, for commands that ask servers. Raises UsageError.
    """
    config = load(args.config, unwanted=args.no_config, environment=os.environ)
    tokens: dict[str, str] = {}
    hosts: dict[str, HostOptions] = {}
    trust: dict[str, tuple[str, ...]] = {}
    aliases: dict[str, tuple[str, ...]] = {}
    if config is not None:
        from regather.cli.conf.defaults import VARIABLES, defaults_for, one_of_each
        from regather.cli.conf.host_tables import host_options_in, tokens_in
        from regather.cli.conf.trust_tables import trust_names_in

        command = args.command
        check_tables(config)
        found = {
            dest: default
            for dest, default in defaults_for(config, command, parser, every).items()
            if os.environ.get(VARIABLES.get((command, dest), "")) is None
        }
        parser.set_defaults(**{dest: default.value for dest, default in found.items()})
        args = parsed()
        one_of_each(args, parser, found)
        aliases = aliases_in(config)
        if "token" in args or command == "info":
            tokens = {one.host: one.value for one in tokens_in(config)}
            hosts = host_options_in(config)
            trust = trust_names_in(config)
        keys = getattr(args, "trust", ())
        if keys and not ("trust" in found and keys is found["trust"].value):
            from msgspec.structs import replace

            # The command line goes before all that the configuration says of keys.
            hosts = {host: replace(options, trust=()) for host, options in hosts.items()}
            trust = {}
    expand(args, aliases, None if config is None else config.path)
    args.config_tokens = tokens
    args.config_hosts = hosts
    args.config_trust = trust
    return args


def check_tables(config: Config) -> None:
    """Raise UsageError for what stands outside of the tables that there are, or is none."""
    known = {*TABLES, *COMMANDS} - set(UNCONFIGURED)
    for name, value in config.tables.items():
        if name in known:
            config.table(name)
        elif isinstance(value, dict):
            config.unknown((name,), known, "table")
        else:
            config.wrong((name,), "is in no table", help="write it below [defaults] or [get]")
