"""Write docs/commands.md, the reference of all commands, from the parser: `make reference`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from regather.cli import parser_of
from regather.cli.parsing import commands_of

PAGE = Path(__file__).parent / "commands.md"
_SHARED = ("credentials", "network", "display", "configuration")
_HEADS = {"arguments": "argument | meaning", "options": "option | meaning"}
_INTRO = """\
<!-- Written by `make reference` from the parser: edit the help texts in src/regather/cli. -->
# Commands

Every command takes `-h` (the most used options) and `--help` (all options).
The [last section](#options-of-several-commands) has the options that several commands share.
A [configuration file](config.md) can set defaults of most options.
Exit codes are the same for all commands.

| command | purpose |
| --- | --- |
"""


def page() -> str:
    """The whole page."""
    commands = commands_of(parser_of())
    text = [_INTRO]
    text += [f"| [`{name}`](#{name}) | {_cell(c.description)} |\n" for name, c in commands.items()]
    shared: dict[str, dict[tuple[str, str], list[str]]] = {title: {} for title in _SHARED}
    for name, command in commands.items():
        text.append(f"\n## {name}\n\n{command.description}\n\nUsage: `{_usage(command)}`\n")
        others = []
        for group in command._action_groups:
            title = group.title or ""
            rows = [
                (_name(action), _cell(action.help or ""))
                for action in group._group_actions
                if action.help != argparse.SUPPRESS
                and not {"-h", "--help"} & set(action.option_strings)
            ]
            if rows and title in _SHARED:
                others.append(f"[{title}](#{title})")
                for row in rows:
                    shared[title].setdefault(row, []).append(name)
            elif rows:
                head = _HEADS.get(title, f"option | {title}")
                text.append(f"\n| {head} |\n| --- | --- |\n")
                text += [f"| {option} | {meaning} |\n" for option, meaning in rows]
        if others:
            text.append(f"\nShared options: {', '.join(others)}.\n")
        if command.examples:
            examples = "\n".join(command.examples)
            text.append(f"\nExamples:\n\n```sh\n{examples}\n```\n")
    text.append("\n## Options of several commands\n")
    for title, options in shared.items():
        text.append(f"\n### {title.capitalize()}\n\n| option | meaning | commands |\n")
        text.append("| --- | --- | --- |\n")
        text += [f"| {o} | {m} | {', '.join(names)} |\n" for (o, m), names in options.items()]
    return "".join(text)


def _usage(command: argparse.ArgumentParser) -> str:
    return re.sub(r"\s+", " ", command.format_usage().removeprefix("usage: ")).strip()


def _name(action: argparse.Action) -> str:
    words = ", ".join(f"`{option}`" for option in action.option_strings)
    if action.nargs == 0:
        return words
    value = action.metavar or "|".join(map(str, action.choices or ())) or action.dest.upper()
    if not words:
        return f"`{value}`"
    if action.nargs == "?":
        return f"{words} `[{value}]`"
    return f"{words} `{value}`"


def _cell(text: str) -> str:
    """As Markdown: what looks like markup, or ends a cell, stays what it is."""
    return re.sub(r"([|*_<>\[\]\\])", r"\\\1", text)


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
