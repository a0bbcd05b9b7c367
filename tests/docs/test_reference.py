"""The reference pages say what the code says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from docs.commands import PAGE, page

import regather
from regather import (
    CheckReport,
    DownloadReport,
    Progress,
    PublishReport,
    RepairReport,
    SourceProgress,
    SourceReport,
    TargetReport,
)
from regather.downloader.preview import Preview

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


def test_the_commands_are_those_of_the_parser() -> None:
    assert PAGE.read_text("utf-8") == page(), "call make reference"


def test_the_api_page_has_every_public_name() -> None:
    named = re.findall(r"^\.\. auto\w+:: (\w+)", (DOCS / "api.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(named) == sorted(set(regather.__all__) - {"__version__"})


@pytest.mark.parametrize(
    ("heading", "described"),
    [
        ("Progress", Progress),
        ("SourceProgress", SourceProgress),
        ("DownloadReport", DownloadReport),
        ("SourceReport", SourceReport),
        ("Preview", Preview),
        ("publish", PublishReport),
        ("TargetReport", TargetReport),
        ("check", CheckReport),
        ("repair", RepairReport),
    ],
)
def test_every_field_of_json_is_described(heading: str, described: type[Any]) -> None:
    text = (DOCS / "json.md").read_text("utf-8")
    table = text.partition(f"\n### {heading}\n")[2].partition("\n#")[0]
    cells = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    told = [name for cell in cells for name in re.findall(r"`(\w+)`", cell)]
    assert sorted(told) == sorted(described.__struct_fields__)


def test_every_event_is_described() -> None:
    """Those that the source names; what an error has is what it gives."""
    source = "\n".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("cli/*.py"))
    text = (DOCS / "json.md").read_text("utf-8")
    for event in re.findall(r'"event": "(\w+)"', source):
        assert f"| `{event}` |" in text, event
    for name in regather.UsageError("x").as_dict():
        assert f"`{name}`" in text.partition("\n## error\n")[2].partition("\n#")[0]
