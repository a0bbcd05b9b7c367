"""What kind of thing an argument of the command line is: a file, a folder, a number.

One table says it, by the word that ``--help`` shows for the value: what shells complete follows it,
and what a configuration file may say. A test sees to it that no argument is missing.
"""

from __future__ import annotations

import argparse
from enum import StrEnum


class Kind(StrEnum):
    """What a value names."""

    FLAG = "flag"
    """No value at all."""
    FILE = "file"
    FOLDER = "folder"
    PLACE = "place"
    """A file or a folder."""
    MANIFEST = "manifest"
    SOURCE = "source"
    """What get takes: manifests, metalinks, URLs."""
    SERVER = "server"
    """A URL, HOST:PORT, or a folder."""
    FAULT = "fault"
    COMMAND = "command"
    """One that a configuration is for."""
    TOPIC = "topic"
    PLAIN = "plain"
    """Numbers, sizes, hashes, names: nothing that a shell could know."""


_BY_NAME = {
    name: kind
    for kind, names in {
        Kind.FILE: ("FILE", "LIST", "PUBKEY"),
        Kind.FOLDER: ("DIR", "FOLDER"),
        Kind.PLACE: ("PATH", "DEST"),
        Kind.MANIFEST: ("MANIFEST",),
        Kind.SOURCE: ("SOURCE",),
        Kind.FAULT: ("SPEC", "[N:]SPEC"),
        Kind.TOPIC: ("TOPIC",),
        Kind.COMMAND: ("COMMAND",),
        Kind.PLAIN: (
            *"N M K R F P SIZE RATE SHARE SECONDS SEED HOST PORT URL HEX ALGO:HEX NAME CC".split(),
            *("HOST=FILE", "HOSTS", "HOST=NAME: VALUE", "NAME: VALUE", "KEY=VALUE"),
        ),
    }.items()
    for name in names
}
_SERVERS = {"server", "to"}


def value_name(action: argparse.Action) -> str:
    """The word that ``--help`` shows for the value."""
    if isinstance(action.metavar, str):
        return action.metavar
    return action.dest.upper()


def kind_of(action: argparse.Action) -> Kind | None:
    """What the argument names, or None where nobody has said so yet."""
    if action.nargs == 0:
        return Kind.FLAG
    if action.choices is not None:
        return Kind.PLAIN
    if action.option_strings and action.dest in _SERVERS:
        return Kind.SERVER
    return _BY_NAME.get(value_name(action))
