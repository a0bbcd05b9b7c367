"""``regather help``: texts on what several commands have in common, and the help of each."""

from __future__ import annotations

import argparse
import os
import sys
from difflib import get_close_matches
from importlib import import_module

from regather.cli.parsing import Parser
from regather.errors import UsageError

SUMMARY = "Explain a topic or a command."
EXAMPLES = ("regather help", "regather help get", "regather help sources")


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument("topic", nargs="?", metavar="TOPIC", help="a topic or a command")


def run(args: argparse.Namespace) -> int:
    """Show it. Raises UsageError."""
    _show(_text(args.topic))
    return 0


def _text(topic: str | None) -> str:
    """What is to be read on a topic. Raises UsageError."""
    from regather.cli import parser_of
    from regather.cli.commands import COMMANDS
    from regather.cli.parsing import commands_of
    from regather.cli.topics import plain, text_of, titles

    found = titles()
    if topic is None:
        return _overview(found)
    if topic in found:
        options = f"\n`regather {topic} --help` lists the options of the command.\n"
        return plain(text_of(topic), bold=_on_terminal()) + options * (topic in COMMANDS)
    if topic in COMMANDS:
        parser: argparse.ArgumentParser = commands_of(parser_of(topic))[topic]
        return parser.format_help()
    known = [*found, *COMMANDS]
    word = topic.lower()
    near = [n for n in known if word and n.startswith(word)] or get_close_matches(word, known)
    counts = {name: text_of(name).lower().count(word) for name in found if len(word) > 2}
    about = sorted((name for name in counts if counts[name]), key=lambda name: -counts[name])
    helps = [f"did you mean {near[0]}?"] if near else []
    if about:
        helps.append(f"these topics have the word: {', '.join(about)}")
    help = " ".join(helps) or "`regather help` lists what there is"
    raise UsageError(f"no help on {topic!r}", help=help)


def _overview(topics: dict[str, str]) -> str:
    """All topics, and that every command is one."""
    from regather.cli.commands import COMMANDS

    summaries = {name: import_module(f"regather.cli.{name}").SUMMARY for name in COMMANDS}
    lines, commands = (
        [f"  {name:<{max(map(len, items))}}  {text}" for name, text in items.items()]
        for items in (topics, summaries)
    )
    lines = ["regather help TOPIC explains one of", "", *lines, ""]
    lines += ["regather help COMMAND explains one of", "", *commands, ""]
    return "\n".join(lines)


def _on_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def _show(text: str) -> None:
    """By a pager on a terminal ($PAGER, else less or more), else as it is."""
    if not _on_terminal():
        print(text, end="")
        return
    import pydoc

    # As git sets it: what fits on the screen is left there, and codes are understood.
    os.environ.setdefault("LESS", "FRX")
    pydoc.pager(text)
