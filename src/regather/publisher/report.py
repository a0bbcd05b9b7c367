"""What publishing tells of itself at its end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

TargetState = Literal["complete", "full", "limited", "failed"]


@dataclass(frozen=True, slots=True)
class TargetReport:
    """One target. Sizes in bytes."""

    url: str
    """A base URL, or the path of a folder; ends in a slash."""
    state: TargetState
    """complete: took all that it should; full: had no room for some; limited: takes no files as
    large as some; failed: did not answer, or refused. What these three should have taken stands
    elsewhere."""
    fragments: tuple[str, ...]
    """Names of the fragments that stand there."""
    uploaded: int
    """Bytes that this run sent there."""
    present: int
    """Bytes that stood there already."""
    error: str
    """Why it is full or failed; else empty."""


@dataclass(frozen=True, slots=True)
class PublishReport:
    """How publishing went. Sizes in bytes, times in seconds."""

    name: str
    size: int
    digest: str
    """Identity of the file, in hexadecimal."""
    blake3: str
    """BLAKE3 of the whole file, in hexadecimal."""
    manifests: tuple[str, ...]
    """Where the manifest stands: URLs first, then paths."""
    survives: int
    """Any so many targets may be lost: the file can still be put together."""
    exact: bool
    """False: at least so many."""
    command: tuple[str, ...]
    """The words of a command that gets the file."""
    uploaded: int
    present: int
    """Bytes of fragments that stood there already."""
    seconds: float
    targets: tuple[TargetReport, ...]
    warnings: tuple[str, ...]
    files: int | None = None
    """How many files a folder has; None: it is one file."""
    dry_run: bool = False
    """Whether all of this would have been done, and was not."""
