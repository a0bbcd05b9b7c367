"""Files to download, and what to check afterwards."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

MIB = 1 << 20


def random_file(path: Path, size: int, seed: int = 1) -> Path:
    """Write ``size`` pseudo-random bytes."""
    rng = random.Random(seed)
    with path.open("wb") as file:
        left = size
        while left:
            count = min(left, 4 * MIB)
            file.write(rng.randbytes(count))
            left -= count
    return path


def leftovers(folder: Path) -> list[str]:
    """Names of partial files in a folder."""
    return sorted(name for name in os.listdir(folder) if ".regather-part" in name)


def regather(
    *arguments: str | Path,
    cwd: Path | None = None,
    timeout: float = 60,
    environment: Mapping[str, str] | None = None,
    program: Sequence[str] = (sys.executable, "-m", "regather"),
) -> subprocess.CompletedProcess[str]:
    """Run the command and return what it printed and its exit code."""
    return subprocess.run(
        [*program, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
