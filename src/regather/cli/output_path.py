"""What ``-o`` names."""

from __future__ import annotations

import os
from pathlib import Path

from regather.cli.standard_streams import STANDARD_OUTPUT
from regather.errors import UsageError, system_errors

_STREAMS = ("/dev/stdin", "/dev/stdout", "/dev/stderr")


def destination_of(output: str | None, *, mkdir: bool = False, dry: bool = False) -> Path | None:
    """What ``-o`` names: with a slash at its end a folder, made if need be. Raises UsageError.

    With ``mkdir`` the folders that it is in are made too; with ``dry`` none is.
    """
    if output is None or output == STANDARD_OUTPUT:
        return None
    if output in _STREAMS or output.startswith(("/dev/fd/", "/proc/")):
        # Where those lead to files, --force would put a file in the place of the link itself.
        raise UsageError(
            f"{output}: pieces of a file come in any order, and here they cannot be put in place",
            help="use -o - for standard output, or name a file",
        )
    path = Path(output)
    check_parent(path, mkdir=mkdir, dry=dry)
    if dry:
        return path
    if output.endswith("/") and not os.path.exists(path):
        make_folder(path)
    return path


def check_parent(path: Path, *, mkdir: bool, dry: bool = False) -> None:
    """Raise UsageError where the folder of ``path`` is missing; with ``mkdir`` make it.

    With ``dry`` nothing is made.
    """
    try:
        os.lstat(path.parent)
        return
    except FileNotFoundError:
        pass
    except (OSError, ValueError):
        return  # whoever writes the file reports it
    if not mkdir:
        raise UsageError(
            f"{path}: the folder '{path.parent}' does not exist", help="make it, or use --mkdir"
        )
    if not dry:
        make_folder(path.parent)


def make_folder(path: Path) -> None:
    """Make a folder, and those that it is in. Raises UsageError."""
    with system_errors(UsageError, f"{path}: cannot make this folder"):
        path.mkdir(parents=True, exist_ok=True)
