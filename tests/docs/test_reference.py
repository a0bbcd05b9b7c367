"""The reference pages say what the code says."""

from __future__ import annotations

import re
from pathlib import Path

from docs.commands import PAGE, page

import regather

DOCS = Path(__file__).parents[2] / "docs"


def test_the_commands_are_those_of_the_parser() -> None:
    assert PAGE.read_text("utf-8") == page(), "call make reference"


def test_the_api_page_has_every_public_name() -> None:
    named = re.findall(r"^\.\. auto\w+:: (\w+)", (DOCS / "api.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(set(regather.__all__) - {"__version__"})
