"""What check and repair tell: states of copies, of erasure sets, of the file."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

from msgspec import Struct

from regather.transport import Failure, RequestFailed

Status = Literal["healthy", "degraded", "lost"]


class CopyState(StrEnum):
    """How a fragment is at a source."""

    OK = "ok"
    MISSING = "missing"
    WRONG_SIZE = "wrong size"
    CORRUPT = "corrupt"
    UNREACHABLE = "unreachable"
    REFUSED = "not allowed"

    @property
    def out_of_reach(self) -> bool:
        """Whether nothing is known of the fragment, since its source does not give it."""
        return self in (CopyState.UNREACHABLE, CopyState.REFUSED)


def state_of(failed: RequestFailed) -> CopyState:
    """What a failed request says of the fragment that was asked for."""
    if failed.failure is Failure.MISSING:
        return CopyState.MISSING
    return CopyState.REFUSED if failed.failure is Failure.FORBIDDEN else CopyState.UNREACHABLE


class CopyFinding(Struct, frozen=True):
    """One fragment at one source: it should be there, or it is."""

    source: str
    """The base URL or folder."""
    fragment: str
    """Its name; empty where a source of unknown content could not be asked for anything."""
    position: int
    """Of the fragment in the layout, from 0; -1 where ``fragment`` is empty."""
    state: CopyState
    expected: bool
    """Whether the source is known to hold it; else it was found there."""
    size: int | None = None
    """Bytes that it has there; None where that is not known."""
    bad: tuple[int, ...] = ()
    """Pieces, from 0, that are not good there, where the fragment is there at all."""
    read: int = 0
    """Pieces that were read and hashed."""
    detail: str = ""
    """What a person needs to know besides, in one line."""


class Lost(Struct, frozen=True):
    """Pieces of a fragment that no source has and that cannot be decoded."""

    fragment: str
    position: int
    rows: tuple[int, ...]
    """The numbers, from 0, of the pieces; also those of their rows."""


class SetHealth(Struct, frozen=True):
    """An erasure set, or all fragments that are in none."""

    number: int
    """As in the manifest; 0 for the fragments without parity."""
    data: int
    parity: int
    complete: int
    """Its fragments of which a source has a copy without any known flaw."""
    recoverable: bool
    """Whether every row can be had or decoded."""
    survives_fragments: int
    """Stored copies, whichever, that may be lost besides; -1 where not recoverable."""
    survives_sources: int
    """Sources, whichever, that may be lost besides; -1 where not recoverable."""
    exact: bool
    """Whether one more can be too many; else the numbers are a safe lower bound."""


class CheckReport(Struct, frozen=True):
    """The result of a check. Sizes are in bytes, times in seconds."""

    name: str
    size: int
    digest: str
    status: Status
    """healthy; degraded: all data is available, but fragments are missing or corrupt, or fewer
    losses are survived than the manifest was made for; lost: pieces cannot be restored now."""
    share: float
    """The share of the pieces to read, from 0 (sizes only) to 1."""
    seed: int
    """Repeats the choice of pieces."""
    sources: tuple[str, ...]
    findings: tuple[CopyFinding, ...]
    nowhere: tuple[str, ...]
    """Fragments without a good copy on any source."""
    sets: tuple[SetHealth, ...]
    lost: tuple[Lost, ...]
    survives: int
    """The number of any further sources that can fail, over all sets; -1 if some data is lost."""
    made_for: int
    """The number of failed sources that the manifest was made to survive; 0 also if it has none."""
    notes: tuple[str, ...]
    """Further notes for people."""
    read: int
    """Bytes read and hashed."""
    seconds: float


class Unwritten(Struct, frozen=True):
    """Something that could not be restored or written where it belongs."""

    source: str
    name: str
    """Of the fragment or the manifest; empty for all that a source of unknown content had."""
    detail: str


class Restored(Struct, frozen=True):
    """A fragment that was written, and verified, at a source."""

    source: str
    fragment: str
    size: int
    moved_from: str
    """The source that it was to stand on before; empty where that is the same."""


class RepairReport(Struct, frozen=True):
    """The result of a repair. Sizes are in bytes, times in seconds."""

    status: Literal["healthy", "incomplete", "lost"]
    """incomplete: some source could not be read or written; the same call resumes."""
    before: CheckReport
    restored: tuple[Restored, ...]
    unwritten: tuple[Unwritten, ...]
    lost: tuple[Lost, ...]
    manifests: tuple[str, ...]
    """The places of the written manifests."""
    notes: tuple[str, ...]
    """Further notes for people."""
    decoded: int
    """Pieces computed from parity."""
    seconds: float
    dry_run: bool = False
    """Whether all of this would have been done, and was not."""
