"""What ``make quick`` names is there: pytest would run nothing at all."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_path_of_make_quick_is_there() -> None:
    told = subprocess.run(
        ["make", "-n", "-o", ".venv/.ready", "quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    named = re.findall(r"tests/[a-z_/]+(?:\.py)?", told)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / name).exists()] == []
