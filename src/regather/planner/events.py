"""What the planner is told, and what it answers with. Frozen values; times are in seconds.

An engine passes each event to ``Planner.handle(event, now)`` and carries out the actions that
come back. Requests are named by numbers that are never used again.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias


class Blame(Enum):
    """Why a request failed, as far as the planner acts on it."""

    SOURCE = "the source failed; it may recover"
    FRAGMENT = "the source does not have this fragment, or not as it must be"
    BUSY = "the source asked to come back later"


# -- events: from the engine ------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Begin:
    """Start planning."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The source began to answer: the body follows."""

    request: int


@dataclass(frozen=True, slots=True)
class RangeIgnored:
    """The source sends the whole fragment instead of the range; the body follows from byte 0."""

    request: int


@dataclass(frozen=True, slots=True)
class Progress:
    """``received`` bytes of the request's current piece are here."""

    request: int
    received: int


@dataclass(frozen=True, slots=True)
class PieceDone:
    """A piece of the request is verified and in place; it ends with the last one."""

    request: int
    piece: int


@dataclass(frozen=True, slots=True)
class PieceCorrupt:
    """A piece of the request had the wrong hash: ends the request."""

    request: int
    piece: int


@dataclass(frozen=True, slots=True)
class Failed:
    """The request ended early. ``retry_after`` is how many seconds the source asks to wait."""

    request: int
    blame: Blame
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A request that the planner cancelled has ended."""

    request: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed: ``Planner.wake_at`` was reached."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """The missing pieces of a row were computed, verified and are in place."""

    set: int
    row: int


@dataclass(frozen=True, slots=True)
class DecodeFailed:
    """What was computed for a row is not what it must be: its parity is no good."""

    set: int
    row: int


Event: TypeAlias = (
    Begin
    | Answered
    | RangeIgnored
    | Progress
    | PieceDone
    | PieceCorrupt
    | Failed
    | Cancelled
    | Decoded
    | DecodeFailed
    | Tick
)

# -- actions: to the engine -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """Ask ``source`` for the pieces ``start`` up to ``end`` of a fragment, in order."""

    request: int
    source: int
    fragment: int
    start: int
    end: int
    whole: bool = False
    """The source knows no ranges: the whole fragment will come; pieces already done are skipped."""
    behind: int = -1
    """A request to the same source: go on with this one on its connection when it has ended, and
    ask for it before that. -1: on a connection that has nothing to do."""


@dataclass(frozen=True, slots=True)
class Restart:
    """The request now is the whole fragment from piece 0 up to ``end``, on the open answer."""

    request: int
    end: int


@dataclass(frozen=True, slots=True)
class Trim:
    """The request ends before piece ``end``: others take the rest."""

    request: int
    end: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop the request at once; nothing of it is wanted any more."""

    request: int


@dataclass(frozen=True, slots=True)
class Decode:
    """Compute pieces of a row of an erasure set (a position in the layout's ``sets``).

    ``make`` are the fragments whose piece is missing, ``parity`` as many parity fragments whose
    piece is in place; all other data pieces of the row are in place too.
    """

    set: int
    row: int
    make: tuple[int, ...]
    parity: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Finished:
    """Every wanted piece is done."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """What is left can be had from no source. ``fragments`` are positions in the layout."""

    fragments: tuple[int, ...]
    corrupt: bool
    """Whether wrong bytes, rather than absent sources, are why."""


Action: TypeAlias = Start | Restart | Trim | Cancel | Decode | Finished | GiveUp
