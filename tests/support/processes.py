"""Processes that end with who started them, however that ends."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from tests.support.net import PATIENCE


def end(process: subprocess.Popen[Any]) -> int:
    """Have a process end in order, and kill it where it does not; its exit code."""
    process.terminate()
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


@contextmanager
def talking(*arguments: str | Path) -> Iterator[tuple[int, IO[str], IO[str]]]:
    """A command of ours while the ``with`` body runs: its number, output and errors."""
    command = [sys.executable, "-m", "regather", *map(str, arguments)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            yield process.pid, process.stdout, process.stderr
        finally:
            end(process)
