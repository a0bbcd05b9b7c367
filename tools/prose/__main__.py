"""Print what breaks a rule, one line each; exit code 1 if there is any. See the package."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from tools.prose import __doc__ as about
from tools.prose.rules import Finding, findings, mean, rules
from tools.prose.text import Passage, of_api, of_help, of_markdown, of_python

ROOT = Path(__file__).parents[2]
UNCLEAN = Path(__file__).with_name("unclean.txt")
HELP, API = "help", "api"
"""The help texts, as the parser makes them, and the docstrings of the Python API; beside files."""


def names() -> list[str]:
    """All that is checked: documents, topics of the help, modules with messages, the help."""
    paths = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")]
    for pattern in ("docs/*.md", "examples/**/README.md", "src/**/*.md", "src/**/*.py"):
        paths += sorted(ROOT.glob(pattern))
    return [*(str(path.relative_to(ROOT)) for path in paths if not path.is_symlink()), HELP, API]


def passages(name: str, *, docstrings: bool = False) -> list[Passage]:
    """The prose of a file, or of the help texts."""
    if name == HELP:
        from regather.cli import parser_of
        from regather.cli.parsing import commands_of

        parser = parser_of()
        return list(of_help([parser, *commands_of(parser).values()]))
    if name == API:
        return list(_of_api())
    text = (ROOT / name).read_text(encoding="utf-8")
    if name.endswith(".py"):
        return list(of_python(text, name, docstrings=docstrings))
    return list(of_markdown(text, name, "[Unreleased]" if name == "CHANGELOG.md" else None))


def _of_api() -> Iterator[Passage]:
    import regather

    for name in regather.__all__:
        if hasattr(item := getattr(regather, name), "__module__"):
            path = Path(sys.modules[item.__module__].__file__ or "")
            where = str(path.relative_to(ROOT))
            yield from of_api(path.read_text(encoding="utf-8"), where, item.__name__)


def unclean() -> list[str]:
    """What may break rules for now: names, or patterns of names."""
    return UNCLEAN.read_text(encoding="utf-8").split() if UNCLEAN.exists() else []


def broken() -> tuple[list[Finding], list[str]]:
    """What everything but the unclean breaks, and which lines of that list are clean by now."""
    habits, found = rules(), []
    dirty = dict.fromkeys(unclean(), False)
    for name in names():
        some = list(findings(passages(name), habits))
        exempt = [pattern for pattern in dirty if fnmatch(name, pattern)]
        if not exempt:
            found += some
        for pattern in exempt if some else ():
            dirty[pattern] = True
    return found, [pattern for pattern, is_dirty in dirty.items() if not is_dirty]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        "python -m tools.prose", description=about, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("names", nargs="*", metavar="FILE", help='a file, "help" or "api"')
    parser.add_argument("--docstrings", action="store_true", help="of modules: docstrings instead")
    parser.add_argument("--worst", type=int, metavar="N", help="list the N longest sentences")
    parser.add_argument("--mean", action="store_true", help="list the mean of each file")
    parser.add_argument("--shorten", action="store_true", help="take what is clean off the list")
    args = parser.parse_args(argv)
    chosen = [name if name in (HELP, API) else _relative(name) for name in args.names]
    if args.worst or args.mean:
        _print_lengths(chosen or [n for n in names() if n.endswith(".md")], args.worst)
        return 0
    if chosen:
        habits = rules()
        texts = [passages(name, docstrings=args.docstrings) for name in chosen]
        found = [finding for text in texts for finding in findings(text, habits)]
        clean: list[str] = []
    else:
        found, clean = broken()
    for finding in found:
        print(finding)
    if clean and args.shorten:
        left = [name for name in unclean() if name not in clean]
        UNCLEAN.write_text("".join(f"{name}\n" for name in left), encoding="utf-8")
        clean = []
    for name in clean:
        print(
            f"{name}: clean now: run `python -m tools.prose --shorten`, which updates unclean.txt"
        )
    return 1 if found or clean else 0


def _relative(name: str) -> str:
    return str(Path(name).resolve().relative_to(ROOT))


def _print_lengths(chosen: list[str], count: int | None) -> None:
    if count:
        listed = [(s, p.path) for name in chosen for p in passages(name) for s in p.sentences()]
        for sentence, path in sorted(listed, key=lambda one: -one[0].words)[:count]:
            print(f"{path}:{sentence.line}: {sentence.words} words: {sentence.text}")
        return
    for name in chosen:
        print(f"{mean(passages(name)):5.1f}  {name}")


if __name__ == "__main__":
    sys.exit(main())
