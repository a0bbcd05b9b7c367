"""The texts of ``regather help``: one Markdown file a topic, plain enough to be read as it is.

The first line of each is ``# NAME: what it is about``.
"""

from __future__ import annotations

import re
from importlib.resources import files

__all__ = ["plain", "text_of", "titles"]

_CODE = re.compile(r"`([^`]+)`")


def titles() -> dict[str, str]:
    """What each topic is about, by its name, in the order of the alphabet."""
    found = {}
    for entry in sorted(files(__name__).iterdir(), key=lambda entry: entry.name):
        if entry.name.endswith(".md"):
            name, _, title = entry.read_text("utf-8").split("\n", 1)[0].partition(": ")
            found[name.removeprefix("# ")] = title
    return found


def text_of(topic: str) -> str:
    """The text of a topic, as Markdown."""
    return (files(__name__) / f"{topic}.md").read_text("utf-8")


def plain(text: str, *, bold: bool = False) -> str:
    """Markdown as people read it on a terminal; ``bold`` strikes headings and code over.

    Pagers show as bold what printers struck twice, as of manual pages.
    """
    lines = []
    fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        elif fenced:
            lines.append("    " + line if line else "")
        elif line.startswith("    "):
            lines.append(line)
        elif line.startswith("#"):
            lines.append(_struck(line.lstrip("# "), bold=bold))
        else:
            lines.append(_CODE.sub(lambda match: _struck(match[1], bold=bold), line))
    return "\n".join(lines) + "\n"


def _struck(text: str, *, bold: bool) -> str:
    return "".join(f"{c}\b{c}" for c in text) if bold else text
