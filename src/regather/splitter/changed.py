"""The error where what is split changes meanwhile."""

from __future__ import annotations

from pathlib import Path

from regather.errors import RegatherError


def changed(path: str | Path, done: str) -> RegatherError:
    """The error where ``path`` was written to while it was ``done``."""
    again = {"split": "split it again", "published": "publish it again"}.get(done, "do it again")
    return RegatherError(f"{path}: changed while it was {done}", help=again)
