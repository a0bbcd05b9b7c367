"""Prose, and where it stands: paragraphs of Markdown, help texts, string literals, docstrings."""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

from markdown_it import MarkdownIt

__all__ = ["Passage", "Sentence", "of_api", "of_help", "of_markdown", "of_python"]

_CODE = re.compile(r"(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
_LINK = re.compile(r"\]\([^()\s]*\)|\]\[[^\]]*\]|<https?:[^>]*>")
_SIGNS = re.compile(r"\*\*|\*(?=\w)|(?<=\w)\*|\[")
_ABBREVIATION = r"(?<!e\.g\.)(?<!i\.e\.)(?<!etc\.)(?<!vs\.)(?<!cf\.)"
_END = re.compile(
    rf"(?<=[.!?]){_ABBREVIATION}\s+(?=[\"'(]?[A-Z0-9])|(?<=[.!?][\")'])\s+(?=[A-Z0-9])"
)
_WORD = re.compile(r"\S*\w\S*")
_PROSE = re.compile(r"[a-z]{2,}\W+ ?[a-z]{2,}\W* [a-z]{2,}", re.IGNORECASE)
_DOCUMENTED = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_PATTERN = re.compile(r"\(\?|\\[bdsw]|\]\+|\[\^|\w\|\w|^import ", re.MULTILINE)


@dataclass(frozen=True)
class Sentence:
    """One sentence, at a line of a file."""

    text: str
    line: int

    @property
    def words(self) -> int:
        """How many words a reader reads, those of inline code included."""
        return len(_WORD.findall(self.text))


@dataclass(frozen=True)
class Passage:
    """A paragraph, a list item, a cell, a heading, or a string. Code in it is masked with X."""

    text: str
    path: str
    line: int
    counted: bool = True
    """Whether it consists of sentences. Headings and cells of tables do not."""

    def sentences(self) -> Iterator[Sentence]:
        """The sentences. The end of a passage ends a sentence."""
        if not self.counted:
            return
        start = 0
        for end in [*_END.finditer(self.text), None]:
            text = self.text[start : end.start() if end else len(self.text)]
            if _WORD.search(text):
                yield Sentence(" ".join(text.split()), self.line + self.text.count("\n", 0, start))
            start = end.end() if end else start


def of_markdown(text: str, path: str, under: str | None = None) -> Iterator[Passage]:
    """The prose of a Markdown document, or of its section ``under`` that heading."""
    inside = under is None
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    for before, token in pairwise(tokens):
        if token.type != "inline" or token.map is None:
            continue
        if before.type == "heading_open" and before.tag == "h2" and under is not None:
            inside = token.content.startswith(under)
        if inside:
            yield Passage(
                _masked(token.content),
                path,
                token.map[0] + 1,
                counted=before.type not in ("heading_open", "th_open", "td_open"),
            )


def of_help(parsers: Iterable[argparse.ArgumentParser]) -> Iterator[Passage]:
    """The help of each parser, as a user sees it."""
    for command in parsers:
        where = f"`{command.prog} --help`"
        yield Passage(_masked(command.description or ""), where, 1)
        for action in command._actions:
            if action.help and action.help is not argparse.SUPPRESS:
                text = command._get_formatter()._expand_help(action)
                name = action.option_strings[-1] if action.option_strings else action.metavar
                yield Passage(_masked(text), f"{where}, {name}", 1)


def of_python(source: str, path: str, *, docstrings: bool = False) -> Iterator[Passage]:
    """The string literals that read like prose; or the docstrings of what is public instead."""
    tree = ast.parse(source)
    own = [
        node.body[0].value
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | _DOCUMENTED)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    ]
    if docstrings:
        for value in own:
            for passage in of_markdown(re.sub(r"(?m)^ {4,}", "", _literal(value)), path):
                yield replace(passage, line=passage.line + value.lineno - 1)
        return
    skipped: set[ast.AST] = set(own)
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr):
            skipped.add(node.value)  # a note on an attribute
        if isinstance(node, ast.JoinedStr):
            skipped |= set(ast.walk(node)) - {node}
        if node in skipped or not isinstance(node, ast.Constant | ast.JoinedStr):
            continue
        for line in _literal(node).splitlines():
            if _PROSE.search(line) and not _PATTERN.search(line) and line.strip()[:1] != "#":
                yield Passage(_masked(line), path, node.lineno)


def of_api(source: str, path: str, name: str) -> Iterator[Passage]:
    """The docstrings of a public class or function, of its public methods and attributes."""
    for node in ast.parse(source).body:
        if not isinstance(node, _DOCUMENTED) or getattr(node, "name", "") != name:
            continue
        inside = [n for n in ast.iter_child_nodes(node) if isinstance(n, _DOCUMENTED)]
        for part in (node, *(n for n in inside if not n.name.startswith("_"))):
            for text in part.body:
                if isinstance(text, ast.Expr) and (words := _literal(text.value)):
                    for passage in of_markdown(re.sub(r"(?m)^ +", "", words), path):
                        yield replace(passage, line=passage.line + text.lineno - 1)


def _literal(node: ast.AST) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values
        )
    return ""


def _masked(text: str) -> str:
    text = _CODE.sub(lambda match: re.sub(r"\w", "X", match[2]).replace(".", "X"), text)
    return _SIGNS.sub("", _LINK.sub("", text))
