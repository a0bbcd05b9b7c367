"""What is wanted and what is on its way: the plan's state, and the orders it gives."""

from __future__ import annotations

from dataclasses import dataclass, field

Row = tuple[int, int]
"""An erasure set, by its position, and a row of it."""


@dataclass(frozen=True, slots=True)
class Start:
    """Ask ``source`` for pieces ``start`` up to ``end`` of a fragment (a position)."""

    request: int
    source: int
    fragment: int
    start: int
    end: int
    drain: bool
    """Whether to take them even where all that stands before has to be received too."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """Break off a request."""

    request: int


@dataclass(frozen=True, slots=True)
class Decode:
    """Compute the data pieces ``make`` of a row out of those of ``have``, all cached.

    Both are positions of fragments; where one has no piece in this row, its bytes are zeros.
    """

    set: int
    row: int
    have: tuple[int, ...]
    make: tuple[int, ...]


Action = Start | Cancel | Decode


@dataclass(slots=True)
class Request:
    """Pieces ``pos`` up to ``end`` of a fragment that a source was asked for."""

    id: int
    source: int
    fragment: int
    pos: int
    end: int
    began: float
    moved: float
    """When a byte came last."""
    answered: float = -1.0
    received: int = 0
    """Bytes since it was answered."""
    partial: int = 0
    """Bytes of the piece ``pos``."""
    late: bool = False
    """Nobody waits for it any more: what it was to bring may be asked of others."""
    cancelled: bool = False


@dataclass(slots=True)
class Want:
    """A piece that is not here yet."""

    flying: set[int] = field(default_factory=set)
    """Requests that bring it and are not late."""
    late: set[int] = field(default_factory=set)
    """Requests that were to bring it and are late."""
    failures: int = 0
    """Requests that ended at it, without it."""
