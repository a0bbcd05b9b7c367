"""Whether the planner that runs here is compiled, and of the source as it stands."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import regather.planner

FOLDER = Path(regather.planner.__file__).parent


def how() -> str:
    """Return ``compiled`` or ``plain Python``, for people."""
    if outdated():
        return "compiled from an older source"
    return "compiled" if _made() else "plain Python"


def outdated() -> list[str]:
    """Return the names of compiled modules that are older than their source: what runs is not it.

    Python takes the compiled one, whatever the source has become.
    """
    return sorted(
        source.name
        for source, made in _made().items()
        if made.stat().st_mtime_ns < source.stat().st_mtime_ns
    )


def _made() -> dict[Path, Path]:
    """By source: the module made of it for this Python."""
    found: dict[Path, Path] = {}
    for source in FOLDER.glob("*.py"):
        # In the order in which Python looks for them.
        for suffix in EXTENSION_SUFFIXES:
            if (made := source.with_suffix(suffix)).exists():
                found[source] = made
                break
    return found
