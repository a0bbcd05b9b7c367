"""promtool, which comes with Prometheus: it checks what Prometheus would read."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="promtool is missing: apt-get install prometheus"
)


def promtool(*arguments: str | Path, text: bytes = b"") -> str:
    """Run it; it must find nothing. Returns what it printed."""
    done = subprocess.run(
        ["promtool", *map(str, arguments)], input=text, capture_output=True, check=False
    )
    output = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, output
    return output
