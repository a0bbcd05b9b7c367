"""Manual pages out of the parsers: one for ``regather``, one for each command.

``make reference`` writes them into share/man/man1. They hold no date: nothing but a change of the
parser changes them.
"""

from __future__ import annotations

import argparse
import re
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from regather._version import __version__
from regather.cli import parser_of
from regather.cli.overview import EXAMPLES, EXIT_CODES
from regather.cli.parsing import Parser, commands_of, groups_of, shown_names

DATE = "2026-11-30"
"""Of the last release, or before the first one of this form: readers of manuals want one."""
FOLDER = Path(__file__).parents[1] / "share/man/man1"


def pages() -> dict[str, str]:
    """The text of each page, by the name of its file."""
    parser = parser_of()
    commands = commands_of(parser)
    listed = [".SH COMMANDS"]
    for name, command in commands.items():
        listed += [".TP", rf".BR regather\-{name} (1)", _text(command.description)]
    summary = "download one large file from several servers at once"
    found = {"regather.1": _page("regather", summary, parser, EXAMPLES, listed)}
    for name, command in commands.items():
        summary = command.description
        found[f"regather-{name}.1"] = _page(
            f"regather-{name}", summary[:1].lower() + summary[1:].rstrip("."), command
        )
    return found


def _page(
    name: str,
    summary: str,
    parser: Parser,
    examples: Sequence[str] = (),
    more: Sequence[str] = (),
) -> str:
    program, *rest = (parser.usage or "").split(" [options]")[0].split()
    others = ("regather-get", "regather-help") if name == "regather" else ("regather",)
    lines = [
        f'.TH {_text(name.upper())} 1 {DATE} "regather {__version__}" "User Commands"',
        *(".SH NAME", *_lines(f"{name} -- {summary}")),
        *(".SH SYNOPSIS", rf"\fB{_text(program)}\fR {_text(' '.join(rest))} [options]"),
        *(".SH DESCRIPTION", *_lines(parser.description or "")),
        *more,
        *_options(parser),
        *(".SH EXAMPLES", ".nf", *map(_text, examples or parser.examples), ".fi"),
        *(".SH EXIT CODES", *_exit_codes()),
        *(".SH SEE ALSO", ",\n".join(rf".BR {_text(page)} (1)" for page in others)),
        *(".PP", rf"\fB{_text('regather help')}\fR lists topics like sources, parity and resume."),
    ]
    return "\n".join(lines) + "\n"


def _options(parser: argparse.ArgumentParser) -> Iterator[str]:
    """The arguments, a section a group."""
    for title, actions in groups_of(parser):
        yield f".SH {_text(title.upper())}"
        for action in actions:
            names = ", ".join(rf"\fB{_text(option)}\fR" for option in action.option_strings)
            value = shown_names(action).removeprefix(", ".join(action.option_strings)).strip()
            yield ".TP"
            yield " ".join(filter(None, (names, rf"\fI{_text(value)}\fR" if value else "")))
            yield from _lines((action.help or "").replace("%%", "%"))


def _exit_codes() -> Iterator[str]:
    for line in EXIT_CODES.splitlines()[1:]:
        number, _, meaning = line.strip().partition(" ")
        yield from (".TP", rf".B {number}", _text(meaning))


def _lines(text: str) -> list[str]:
    """A paragraph: a line a sentence, as manuals have it, none of them long."""
    lines = []
    for sentence in re.split(r"(?<=[^.][.]) (?=[A-Z])", " ".join(text.split())):
        lines += textwrap.wrap(
            _text(sentence.replace(" -- ", " \0 ")).replace("\0", r"\-"),
            79,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines


def _text(text: str) -> str:
    """Text as roff takes it: no escape, no request at the start of a line."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    text = text.replace("`", r"\(ga").replace("~", r"\(ti").replace("^", r"\(ha")
    return rf"\&{text}" if text.startswith(".") else text


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    made = pages()
    for old in FOLDER.glob("*.1"):
        if old.name not in made:
            old.unlink()
    for name, text in made.items():
        (FOLDER / name).write_text(text, "utf-8")
