"""Files to download, and what to check afterwards."""

from __future__ import annotations

import contextlib
import io
import os
import random
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from regather.cli import main
from tests.support import forked

MIB = 1 << 20
PROGRAM = (sys.executable, "-m", "regather")
_PROGRESS = re.compile(
    r"^(?:asking \S+ .*|waiting (?:[\d:.]+ (?:s )?)?for .*\)(?:, retry \d+ of \d+)?"
    r"|.+: \d+ % of .*)\n",
    re.MULTILINE,
)


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


def alone(manifest: Path) -> Path:
    """A copy of a manifest in a folder of its own: else what lies beside it is a source too."""
    folder = manifest.parent.with_name(f"{manifest.parent.name}-manifest")
    folder.mkdir(exist_ok=True)
    (folder / manifest.name).write_bytes(manifest.read_bytes())
    return folder / manifest.name


def leftovers(folder: Path) -> list[str]:
    """Names of partial files in a folder."""
    return sorted(name for name in os.listdir(folder) if ".regather-part" in name)


def regather(
    *arguments: str | Path,
    cwd: Path | None = None,
    timeout: float = 120,
    progress: bool = False,
    environment: Mapping[str, str] | None = None,
    program: Sequence[str] = PROGRAM,
) -> subprocess.CompletedProcess[str]:
    """Run the command and return what it printed and its exit code.

    Without ``progress`` its lines on standard error are left out: whether there are any hangs on
    how long the command took.
    """
    words = [*map(str, arguments)]
    if program == PROGRAM and forked.can_be_forked(environment):
        done = forked.run(words, cwd=cwd, environment=environment, timeout=timeout)
    else:
        done = subprocess.run(
            [*program, *words],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    if not progress:
        done.stderr = without_progress(done.stderr)
    return done


def started(arguments: Sequence[str | Path]) -> forked.Command | subprocess.Popen[bytes]:
    """Start the command, with our own standard streams."""
    words = [*map(str, arguments)]
    if forked.can_be_forked(None):
        return forked.Command(words, stdin=0, stdout=1, stderr=2)
    return subprocess.Popen([*PROGRAM, *words])


def here(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, which is faster; without lines of progress."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main([str(word) for word in arguments])
    told = without_progress(err.getvalue())
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), told)


def without_progress(told: str) -> str:
    """What a command wrote on standard error, without the lines that tell how far it is."""
    return _PROGRESS.sub("", told)
