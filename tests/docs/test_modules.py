"""What the explanations name of the source is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_PATH = re.compile(r"`([a-z_]+(?:/[a-z_]+)*/[a-z_]*)(?:\.py)?`")
_CLASS = re.compile(r"`([A-Z][a-z]+[A-Z]\w+)\b[^`]*`")


@pytest.mark.parametrize("page", ["architecture.md", "planner.md"])
def test_modules_and_classes_that_a_page_names(page: str) -> None:
    text = (ROOT / "docs" / page).read_text("utf-8")
    files = [path for part in ("src", "bench", "tests") for path in (ROOT / part).rglob("*.py")]
    paths = {f"{path.parent}/{name}" for path in files for name in ("", path.stem)}
    missing = [
        named for named in _PATH.findall(text) if not any(p.endswith(f"/{named}") for p in paths)
    ]
    source = "\n".join(path.read_text("utf-8") for path in files)
    missing += [named for named in _CLASS.findall(text) if not re.search(rf"\b{named}\b", source)]
    assert missing == []
