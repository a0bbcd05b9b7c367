"""``regather completion``: what a shell needs to complete our commands.

shtab makes a static script of the parser, so a shell starts no Python for a Tab. Here is what it
cannot know: which values are files, folders or faults, and how bash cuts words.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from typing import Any

from regather.cli.kinds import Kind, kind_of, value_name
from regather.cli.parsing import Parser

SUMMARY = "Print a completion script for bash, zsh or fish."
EXAMPLES = (
    'eval "$(regather completion bash)"    # in ~/.bashrc',
    'eval "$(regather completion zsh)"     # in ~/.zshrc, below compinit',
    "regather completion fish > ~/.config/fish/completions/regather.fish",
)
SHELLS = ("bash", "zsh", "fish")

_PATTERNS = {
    Kind.MANIFEST: ("*.regather.json",),
    Kind.SOURCE: ("*.regather.json", "*.meta4", "*.metalink"),
}

_FAULT_VALUES = {"error": ":503", "slow": ":20MB"}

_BASH_START = r"""
# What is typed may be quoted; file names are not.
_regather_bare() {
  local word="$1"
  case "$word" in
    \"*) word="${word#\"}" ;;
    \'*) word="${word#\'}" ;;
    *) word="${word//\\/}" ;;
  esac
  printf '%s' "$word"
}
_regather_file() { compgen -f -- "$(_regather_bare "$1")"; }
_regather_dir() { compgen -d -- "$(_regather_bare "$1")"; }
"""

# Readline cuts words at : and =, argparse does not: faults, HOST:PORT and --option=value.
_BASH_END = r"""
_regather() {
  local -a words=("${COMP_WORDS[0]}")
  local i word last cut=0
  for ((i = 1; i <= COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}" last="${words[${#words[@]}-1]}"
    if [[ $word == "=" && $last == --* && $last != *=* ]]; then
      words+=("")
      cut=1
    elif ((cut)) && [[ -n $word && -z $last ]]; then
      words[${#words[@]}-1]="$word"
      cut=0
    elif ((i > 1)) && [[ $word == [:=]* || $last == *[:=] ]]; then
      words[${#words[@]}-1]="$last$word"
    else
      words+=("$word")
      cut=0
    fi
  done
  local -a COMP_WORDS=("${words[@]}")
  local COMP_CWORD=$((${#words[@]} - 1))
  word="${words[COMP_CWORD]}"
  _shtab_regather
  # Readline replaces only the text after the last : or =.
  [[ $word == *[:=]* ]] || return 0
  local start="${word%"${word##*[:=]}"}"
  COMPREPLY=("${COMPREPLY[@]#"$start"}")
}
complete -o bashdefault -o default -F _regather regather
"""


def configure(parser: Parser) -> None:
    """Add the arguments."""
    parser.add_argument("shell", choices=SHELLS, metavar="SHELL", help="bash, zsh or fish")


def run(args: argparse.Namespace) -> int:
    """Print the script."""
    print(script(args.shell))
    return 0


def script(shell: str) -> str:
    """The script for one of SHELLS."""
    import shtab

    from regather.cli import parser_of
    from regather.cli.parsing import commands_of

    parser = parser_of()
    for command in commands_of(parser).values():
        for action in command._actions:
            _complete_with(action)
    made: str = shtab.complete(parser, shell, preamble=_BASH_START if shell == "bash" else "")
    if shell == "zsh":
        # One of several values is what `*:` means, and `=` lets --option=value be completed too.
        made = made.replace('"(*)::', '"*:')
        return re.sub(r"(?m)^(.*?--[a-z0-9-]+)(\}?\"?\[.*\]:)", r"\1=\2", made)
    return made + (_BASH_END if shell == "bash" else "")


def _complete_with(action: argparse.Action) -> None:
    """Tell shtab what to complete the values of ``action`` with."""
    import shtab

    from regather.cli.commands import COMMANDS, UNCONFIGURED
    from regather.cli.topics import titles
    from regather.server.faults import FaultKind

    named = kind_of(action)
    # To zsh a colon would end it, and brackets mean something of their own.
    action.metavar = re.sub(r"\[.*\]", "", value_name(action)).replace(":", "-")
    complete: Any = None
    if named in (Kind.FILE, Kind.PLACE):
        complete = {
            "bash": "_regather_file",
            "zsh": "_files",
            "fish": "(__fish_complete_path (commandline -ct))",
        }
    elif named in (Kind.FOLDER, Kind.SERVER):
        complete = {
            "bash": "_regather_dir",
            "zsh": "_files -/",
            "fish": "(__fish_complete_directories (commandline -ct))",
        }
    elif named in _PATTERNS:
        # A single pattern in brackets would be qualifiers to zsh, so they are named here.
        patterns = _PATTERNS[named]
        zsh = " ".join(f"-g '{pattern}'" for pattern in patterns)
        complete = {**shtab.glob(*patterns), "zsh": f"_files {zsh}"}
    elif named is Kind.TOPIC:
        complete = _words("topic", sorted([*COMMANDS, *titles()]))
    elif named is Kind.COMMAND:
        complete = _words("command", [n for n in COMMANDS if n not in UNCONFIGURED])
    elif named is Kind.FAULT:
        complete = _words("fault", [f"{kind}{_FAULT_VALUES.get(kind, '')}" for kind in FaultKind])
    if complete is not None:
        action.complete = complete  # type: ignore[attr-defined]


def _words(name: str, words: Sequence[str]) -> dict[str, str | dict[str, str]]:
    """Complete with one of these words; shtab's own way for that cannot take a colon to zsh."""
    listed = " ".join(words)
    function = f"_regather_{name}"
    return {
        "bash": function,
        "zsh": f"({listed.replace(':', chr(92) * 2 + ':')})",
        "fish": listed,
        "preamble": {"bash": f"{function}() {{ compgen -W '{listed}' -- \"$1\"; }}"},
    }
