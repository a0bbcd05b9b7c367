"""Debian's minisign: the tool of others that signs and verifies."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

PROGRAM = shutil.which("minisign")
needs_minisign = pytest.mark.skipif(
    PROGRAM is None, reason="minisign is missing: apt-get install minisign"
)


def minisign(*arguments: str | Path, told: str = "") -> subprocess.CompletedProcess[str]:
    """Run it; ``told`` is what it reads in place of passwords."""
    words = [str(PROGRAM), *map(str, arguments)]
    return subprocess.run(
        words, input=told, capture_output=True, text=True, timeout=120, check=False
    )
