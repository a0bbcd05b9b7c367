"""The changelog can be scanned: each item below a heading, once, and nothing runs together."""

from __future__ import annotations

import re
from pathlib import Path

TEXT = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")


def test_each_item_is_below_a_heading_and_there_once() -> None:
    loose = re.findall(r"^###? .*\n+- .*", TEXT, re.MULTILINE)
    assert loose == []
    unparted = re.findall(r"^(?:- |  ).*\n(?!- |  |\n|\Z).*|^(?!- |  ).+\n- .*", TEXT, re.MULTILINE)
    assert unparted == [], "an empty line is missing"
    items = re.findall(r"^- .*", TEXT, re.MULTILINE)
    assert sorted(set(items)) == sorted(items)
