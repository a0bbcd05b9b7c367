"""The blocks of code in the documents (of README.md see test_readme.py), and comments above them.

<!-- unchecked: REASON -->   no test looks at the next block
<!-- parse: REASON -->       its commands are parsed, not run
<!-- exit: 5 -->             its last command ends with this code
<!-- output -->              the block above prints this, numbers aside; "..." is any lines
<!-- stop: 9002 -->          here the reader stops the server at this port
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
_COMMENT = re.compile(r"<!--\s*(unchecked|parse|exit|output|stop)(?::\s*(.*?))?\s*-->", re.DOTALL)
_ENDS = {"&&", "||", "|", ";", "(", ")", "&", "|&", "))", ");"}
_REDIRECTS = {">", ">>", "<", ">&", "&>"}


@dataclass(frozen=True)
class Block:
    """A block of code, or with the language "stop" a server that the reader stops."""

    page: Path
    line: int
    language: str
    text: str
    marker: str = ""
    value: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """Of one page, in order."""
    marker = value = ""
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text("utf-8")):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "html_block":
            found = _COMMENT.fullmatch(token.content.strip())
            marker, value = (found[1], found[2] or "") if found else ("", "")
            if marker == "stop":
                yield Block(page, line, "stop", "", marker, value)
        elif token.type in ("fence", "code_block"):
            language = (token.info.split() or ["text"])[0] if token.type == "fence" else "sh"
            yield Block(page, line, language, token.content, marker, value)
            marker = value = ""
        elif token.type not in ("bullet_list_close", "ordered_list_close"):
            marker = value = ""


def commands_in(script: str) -> Iterator[list[str]]:
    """The commands of a shell script, as words, without what they are redirected to."""
    lines = script.replace("\\\n", " ").splitlines()
    while lines:
        line = lines.pop(0)
        while lines and _is_open(line):
            line += f" {lines.pop(0)}"
        lexer = _lexer(line)
        words: list[str] = []
        skip = False
        for word in lexer:
            if word in _ENDS:
                if words and words != ["$"]:
                    yield words
                words = []
            elif word in _REDIRECTS:
                skip = True
            elif skip:
                skip = False
            else:
                words.append(word)
        if words:
            yield words


def _lexer(line: str) -> shlex.shlex:
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    return lexer


def _is_open(line: str) -> bool:
    """Whether a quotation goes on in the next line."""
    try:
        list(_lexer(line))
    except ValueError:
        return True
    return False
