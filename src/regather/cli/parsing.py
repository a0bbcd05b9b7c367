"""argparse, made to say what people need: short help, options in groups, what was meant.

What leans on argparse's private parts (``_actions``, ``_action_groups``) stands here alone.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from regather.errors import UsageError

SECTIONS = (
    *("arguments", "sources", "targets", "output", "fragments and parity", "verification"),
    *("serving (see docs/gateway.md)",),
    *("faults", "tokens, uploads and TLS (see docs/server.md)", "credentials", "network"),
    *("options", "display", "configuration"),
)
"""Titles of groups of options, in the order in which help shows them."""
_MAY_BE_EMPTY = ("--proxy", "--no-proxy")
_EXAMPLES = 3
_WIDEST = 100
_FIRST_CLAUSE = r"\. |; "
_DEFAULT = r" ?\(default: [^()]*\)"


class CommandLineError(UsageError):
    """What argparse does not understand; told with the name of the command."""

    def __init__(self, prog: str, message: str) -> None:
        self.prog = prog
        super().__init__(message, help=f"see `{prog} --help`")


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Lines of at most 100 characters; ``-o, --output DEST`` names the value once."""

    def __init__(self, prog: str, width: int | None = None) -> None:
        if width is None:
            import shutil

            width = min(shutil.get_terminal_size().columns, _WIDEST) - 2
        super().__init__(prog, width=width, max_help_position=28)

    def _split_lines(self, text: str, width: int) -> list[str]:
        import textwrap

        return textwrap.wrap(text, width, break_on_hyphens=False)  # --fault-seed stays whole

    def _format_action_invocation(self, action: argparse.Action) -> str:
        return shown_names(action)


class OptionsContainer(argparse._ActionsContainer):
    """What options are added to, each in the form in which help shows it: ``-o, --output FILE``."""

    def flag(self, form: str, help: str, **how: Any) -> None:
        """Add an option without a value."""
        self.add_argument(*form.split(", "), action="store_true", help=help, **how)

    def value(self, form: str, help: str, **how: Any) -> None:
        """Add an option with a value."""
        names, _, metavar = form.replace(", ", ",").partition(" ")
        self.add_argument(*names.split(","), metavar=metavar or None, help=help, **how)

    def many(self, form: str, help: str, **how: Any) -> None:
        """Add an option with a value that may be repeated; the default is an empty list."""
        self.value(form, help, action="append", **{"default": []} | how)

    def alternatives(self) -> OptionsContainer:
        """A part of this group, of whose options only one may be given."""
        made = _Alternatives(self)
        self._mutually_exclusive_groups.append(made)
        return made


class _TitledGroup(argparse._ArgumentGroup, OptionsContainer):
    """A group of options below a title."""


class _Alternatives(argparse._MutuallyExclusiveGroup, OptionsContainer):
    """Options that exclude one another."""


class Parser(argparse.ArgumentParser, OptionsContainer):
    """Raises what is wrong, so that it is told like every other error; has two kinds of help."""

    common: Sequence[str] = ()
    """The options that most people need, for the short help; none: all."""
    examples: Sequence[str] = ()
    """Lines; an example may have several, all but its last with a backslash at the end."""
    complete = False
    """Whether all arguments are added."""

    def __init__(self, prog: str, **how: Any) -> None:
        super().__init__(prog, **how, formatter_class=Formatter, allow_abbrev=False, add_help=False)
        self._positionals.title = "arguments"
        self._optional: dict[str, tuple[str, re.Pattern[str]]] = {}
        """By option: its value where none is given, and what all others match."""

    def _get_formatter(self) -> argparse.HelpFormatter:
        # add_argument() makes one each time, to check the name of a value. The terminal, and
        # `shutil` for its width, matter only to help.
        return Formatter(self.prog, None if self.complete else _WIDEST)

    def error(self, message: str) -> NoReturn:
        """Raise CommandLineError."""
        raise CommandLineError(self.prog, message)

    def optional(self, form: str, help: str, *, const: str, fits: str, **how: Any) -> None:
        """Add an option whose value may be left out; ``fits`` is a pattern that all values match.

        So the next argument is not taken for the value by mistake.
        """
        name, _, metavar = form.partition(" ")
        self._optional[name] = const, re.compile(fits)
        self.section("display").add_argument(
            name, nargs="?", const=const, metavar=metavar.strip("[]"), help=help, **how
        )

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """See argparse; a value that an option may have is only taken where it fits."""
        words: list[str] = list(sys.argv[1:] if args is None else args)
        for at, word in enumerate(words):
            if word == "--":
                break
            if word in self._optional:
                const, fits = self._optional[word]
                if at + 1 == len(words) or not fits.fullmatch(words[at + 1]):
                    words[at] = f"{word}={const}"
        return super().parse_known_args(words, namespace)

    def section(self, title: str) -> OptionsContainer:
        """The group of options of that title, made where there is none yet. See SECTIONS."""
        assert title in SECTIONS, title
        for group in self._action_groups:
            if isinstance(group, _TitledGroup) and group.title == title:
                return group
        made = _TitledGroup(self, title)
        self._action_groups.append(made)
        return made

    def add_helps(self, group: OptionsContainer) -> None:
        """Add ``-h`` for the most used options, and ``--help`` for all of them."""
        group.add_argument("-h", action=_ShortHelp, help="show the most used options")
        group.add_argument("--help", action="help", help="show all options")

    def arrange(self) -> None:
        """All is added: put groups into their order, and write a usage line that is short."""
        self.complete = True
        order = {title: n for n, title in enumerate(SECTIONS)}
        self._action_groups.sort(key=lambda group: order[group.title or ""])
        places = []
        for action in self._actions:
            if not action.option_strings:
                many = "..." if action.nargs == "*" else ""
                name = f"{action.metavar or action.dest}{many}"
                places.append(f"[{name}]" if action.nargs in ("?", "*") else name)
        self.usage = " ".join((self.prog, *places, "[options]"))

    def short_help(self) -> str:
        """Usage, the most used options with the first clause of their help, three examples."""
        shown = [
            action
            for action in self._actions
            if action.help is not argparse.SUPPRESS
            and (not action.option_strings or self.common or action.dest not in _ELSEWHERE)
            and (not action.option_strings or not self.common or _is_in(action, self.common))
        ]
        formatter = Formatter(self.prog)
        formatter.add_usage(self.usage, self._actions, self._mutually_exclusive_groups)
        formatter.add_text(self.description)
        formatter.start_section("most used")
        for action in shown:
            formatter.add_argument(_shortened(action))
        formatter.end_section()
        examples = indented(_first(self.examples, _EXAMPLES))
        return (
            f"{formatter.format_help()}\nexamples:\n{examples}\nall options: {self.prog} --help\n"
        )


_ELSEWHERE = ("help", "config", "no_config")


class _ShortHelp(argparse.Action):
    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:
        super().__init__(option_strings, dest="help", default=argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        assert isinstance(parser, Parser)
        print(parser.short_help(), end="")
        parser.exit()


def indented(lines: Sequence[str]) -> str:
    """Lines as help shows them below a title."""
    return "".join(f"  {line}\n" for line in lines)


def shown_names(action: argparse.Action) -> str:
    """Its options and their value: ``-o, --output DEST``."""
    value = str(action.metavar or action.dest.upper())
    if not action.option_strings:
        return value
    names = ", ".join(action.option_strings)
    optional = f"[{value}]" if action.nargs == "?" else value
    return names if action.nargs == 0 else f"{names} {optional}"


def groups_of(parser: argparse.ArgumentParser) -> list[tuple[str, list[argparse.Action]]]:
    """Groups that help shows, by their titles, without the list of commands."""
    found = []
    for group in parser._action_groups:
        actions = [
            action
            for action in group._group_actions
            if action.help is not argparse.SUPPRESS
            and not isinstance(action, argparse._SubParsersAction)
        ]
        if actions:
            found.append((group.title or "", actions))
    return found


def _is_in(action: argparse.Action, names: Sequence[str]) -> bool:
    return any(option in names for option in action.option_strings)


def _shortened(action: argparse.Action) -> argparse.Action:
    """A copy with the first clause of its help, and its default."""
    text = action.help or ""
    first = re.split(_FIRST_CLAUSE, text, maxsplit=1)[0]
    if "(" in first.rpartition(")")[2]:  # a semicolon within brackets ends no clause
        first = text[: text.find(")", len(first)) + 1]
    default = re.search(_DEFAULT, text[len(first) :])
    return argparse.Action(
        action.option_strings,
        action.dest,
        nargs=action.nargs,
        default=action.default,
        choices=action.choices,
        metavar=action.metavar,
        help=first + (default[0] if default else ""),
    )


def _first(lines: Sequence[str], count: int) -> list[str]:
    """The first examples, of which each ends with a line without a backslash."""
    kept: list[str] = []
    for line in lines:
        kept.append(line)
        count -= not line.endswith("\\")
        if not count:
            break
    return kept


def commands_of(parser: argparse.ArgumentParser) -> dict[str, Any]:
    """The parsers of the commands, by name."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            return dict(action.choices)
    return {}


def unknown_command(word: str, commands: Sequence[str]) -> UsageError:
    """The error for a word that is no command, with what was meant, as far as can be guessed."""
    from difflib import get_close_matches

    if "/" in word or word.endswith(".regather.json") or os.path.exists(word):
        help = f"did you mean `regather get {word}`?"
    elif near := get_close_matches(word.lower(), commands, 1):
        help = f"did you mean `regather {near[0]}`?"
    else:
        help = f"there are {', '.join(commands[:-1])} and {commands[-1]}"
    return UsageError(f"not a command: {word!r}", help=help)


def is_option(word: str, parser: argparse.ArgumentParser) -> bool:
    """Whether a word is an option of a command, or the beginning of one."""
    return any(option.startswith(word) for option in parser._option_string_actions)


def near_options(words: Sequence[str], parser: argparse.ArgumentParser) -> str:
    """``; did you mean --output?`` for the first option that is nearly one of a command's."""
    from difflib import get_close_matches

    for word in words:
        near = get_close_matches(word.partition("=")[0], parser._option_string_actions, 1, 0.7)
        if word.startswith("--") and near:
            return f"; did you mean {near[0]}?"
    return ""


def check_filled(arguments: Sequence[str]) -> None:
    """Raise UsageError for an argument that is empty, like a variable of a script that is not set.

    As the name of a file it would mean the current folder; as a digest, that nobody asks for one.
    """
    for before, word in zip(("", *arguments), arguments, strict=False):
        option, equals, value = word.partition("=")
        if not word:
            option = before if before.startswith("-") else ""
        elif not option.startswith("--") or not equals or value:
            continue
        if option not in _MAY_BE_EMPTY:
            raise UsageError(
                f"{option}: nothing is given" if option else "an empty argument",
                help="name what is meant, or leave it out",
            )


def command_in(arguments: Sequence[str]) -> str | None:
    """The command, as far as can be told without a parser."""
    words = iter(arguments)
    for word in words:
        if word == "--config":
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None
