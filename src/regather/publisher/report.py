"""What publishing tells of itself at its end."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

TargetState = Literal["complete", "full", "limited", "failed"]


class TargetReport(Struct, frozen=True):
    """The result for one target. Sizes are in bytes."""

    url: str
    """A base URL, or the path of a folder; ends in a slash."""
    state: TargetState
    """complete: stored all its fragments; full: not enough space for some; limited: some were too
    large; failed: no response, or refused. Other targets store the fragments of the last three."""
    fragments: tuple[str, ...]
    """Names of the fragments stored there."""
    uploaded: int
    """Bytes sent there by this run."""
    present: int
    """Bytes that were already stored there."""
    error: str
    """The reason if it is full or failed, else empty."""


class PublishReport(Struct, frozen=True):
    """The result of publishing. Sizes are in bytes, times in seconds."""

    name: str
    size: int
    digest: str
    """The digest of the file, in hexadecimal."""
    blake3: str
    """BLAKE3 of the whole file, in hexadecimal."""
    manifests: tuple[str, ...]
    """The places of the manifest: URLs first, then paths."""
    survives: int
    """The number of any targets that can fail without loss of the file."""
    exact: bool
    """False: ``survives`` is a lower limit."""
    command: tuple[str, ...]
    """The words of a command that gets exactly this version of the file."""
    uploaded: int
    present: int
    """Bytes of fragments that were already stored."""
    seconds: float
    targets: tuple[TargetReport, ...]
    warnings: tuple[str, ...]
    files: int | None = None
    """The number of files of a folder; None for a single file."""
    dry_run: bool = False
    """Whether all of this would have been done, and was not."""
