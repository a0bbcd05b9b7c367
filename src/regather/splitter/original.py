"""What is split: a file, or a folder packed into one, read at any place by any thread."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Self

from regather.digest import Hasher
from regather.errors import RegatherError
from regather.folder import Folder


class Original(ABC):
    """Bytes to split. Thread-safe. Use it as a context manager: it is closed at the end."""

    name: str
    """What the manifest calls it: a plain file name."""
    size: int
    """Bytes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:  # noqa: B027
        """Close it."""

    @abstractmethod
    def read(self, offset: int, into: memoryview) -> int:
        """Read from ``offset`` on; returns how many bytes, 0 only where there are none.

        Raises OSError, or RegatherError where what is read has changed.
        """

    @abstractmethod
    def check_unchanged(self, done: str) -> None:
        """Raise RegatherError where it was written to while it was ``done`` (split, ...)."""

    def hashers(self) -> list[Hasher]:
        """What wants to see all bytes in order, once, while they are in memory."""
        return []

    def descriptor(self) -> int | None:
        """An open file whose first ``size`` bytes these are, or None where there is no such."""
        return None

    def folder(self) -> Folder | None:
        """What it holds, where it is a packed folder; call it when all hashers have seen all."""
        return None

    def check_outside(self, path: Path) -> None:  # noqa: B027
        """Raise UsageError where writing at ``path`` would change what is read.

        What has its own place is looked at where it is written.
        """


def changed(path: str | Path, done: str) -> RegatherError:
    """The error where ``path`` was written to while it was ``done``."""
    again = {"split": "split it again", "published": "publish it again"}.get(done, "do it again")
    return RegatherError(f"{path}: changed while it was {done}", help=again)
