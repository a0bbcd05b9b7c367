"""The texts of ``regather help``: the pages of ``docs/`` that are plain enough for a terminal.

Each ``.md`` here is a link to the page, and a copy of it in a wheel. The first line of a page is
``# TITLE: what it is about``. A longer page ends for a terminal at the line ``_END``.
"""

from __future__ import annotations

import re
from importlib.resources import files

_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[([^][]+)\]\([^()]+\)")
_END = "\n<!-- help ends -->\n"


def titles() -> dict[str, str]:
    """What each topic is about, by its name, in the order of the alphabet."""
    names = sorted(
        entry.name.removesuffix(".md")
        for entry in files(__name__).iterdir()
        if entry.name.endswith(".md")
    )
    return {name: text_of(name).split("\n", 1)[0].partition(": ")[2] for name in names}


def text_of(topic: str) -> str:
    """The text of a topic, as Markdown."""
    text = (files(__name__) / f"{topic}.md").read_text("utf-8")
    return text.partition(_END)[0]


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
        elif line.startswith("<!--"):
            pass
        elif line.startswith("    "):
            lines.append(line)
        elif line.startswith("#"):
            lines.append(_struck(line.lstrip("# "), bold=bold))
        else:
            bare = _LINK.sub(r"\1", line)
            lines.append(_CODE.sub(lambda match: _struck(match[1], bold=bold), bare))
    return "\n".join(lines) + "\n"


def _struck(text: str, *, bold: bool) -> str:
    return "".join(f"{c}\b{c}" for c in text) if bold else text
