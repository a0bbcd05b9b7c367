"""What ``-o`` names."""

from __future__ import annotations

import os
from pathlib import Path

from regather.errors import UsageError

_STREAMS = ("-", "/dev/stdin", "/dev/stdout", "/dev/stderr")


def destination_of(output: str | None) -> Path | None:
    """What ``-o`` names: with a slash at its end a folder, made if need be. Raises UsageError."""
    if output is None:
        return None
    if output in _STREAMS or output.startswith(("/dev/fd/", "/proc/")):
        # Where those lead to files, --force would put a file in the place of the link itself.
        raise UsageError(
            "a download cannot go to standard output: its pieces come in any order",
            help="name a file with -o, and ./- for one of that name",
        )
    path = Path(output)
    if output.endswith("/") and not os.path.exists(path):
        make_folder(path)
    return path


def make_folder(path: Path) -> None:
    """Make a folder. Raises UsageError."""
    try:
        path.mkdir()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise UsageError(f"{path}: cannot make this folder: {reason}") from None
