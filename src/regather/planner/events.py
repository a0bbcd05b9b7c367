"""What the planner is told, and what it answers with. Frozen values; times are in seconds.

An engine passes each event to ``Planner.handle(event, now)`` and carries out the actions that
come back. Requests are named by numbers that are never used again.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias

from regather.planner.values import Value


class Blame(Enum):
    """Why a request failed, as far as the planner acts on it."""

    SOURCE = "the source failed; it may recover"
    REFUSED = "the source refused the connection: it may recover, and asking costs it nothing"
    FRAGMENT = "the source does not have this fragment, or not as it must be"
    BUSY = "the source asked to come back later"


# -- events: from the engine ------------------------------------------------------------------


class Begin(Value, frozen=True):
    """Start planning."""


class Answered(Value, frozen=True):
    """The source began to answer: the body follows."""

    request: int


class RangeIgnored(Value, frozen=True):
    """The source sends the whole fragment instead of the range; the body follows from byte 0."""

    request: int


class Progress(Value, frozen=True):
    """``received`` bytes of the request's current piece are here."""

    request: int
    received: int


class PieceDone(Value, frozen=True):
    """A piece of the request is verified and in place; it ends with the last one."""

    request: int
    piece: int
    placed: bool = True
    """False: nobody wanted the piece of a whole answer, so it was passed over."""


class PieceCorrupt(Value, frozen=True):
    """A piece of the request had the wrong hash: ends the request."""

    request: int
    piece: int


class Failed(Value, frozen=True):
    """The request ended early. ``retry_after`` is how many seconds the source asks to wait."""

    request: int
    blame: Blame
    retry_after: float | None = None
    kept: bool = False
    """Whether much of its piece came and is kept: the source will go on from there."""


class Cancelled(Value, frozen=True):
    """A request that the planner cancelled has ended."""

    request: int


class Tick(Value, frozen=True):
    """Time passed: ``Planner.wake_at`` was reached."""


class Decoded(Value, frozen=True):
    """The missing pieces of a row were computed, verified and are in place."""

    set: int
    row: int


class DecodeFailed(Value, frozen=True):
    """What was computed for a row is not what it must be: its parity is no good."""

    set: int
    row: int
    gone: bool = False
    """Something of it was not kept, as nobody wanted the row; its parity is not there either."""


class Want(Value, frozen=True):
    """A demand wants pieces of the file, by their running numbers, ``start`` up to ``end``.

    ``demand`` is a number of the caller's choice: one reader, download or selection. A piece stays
    wanted, and must stay in the store, until every demand that wants it has released it.
    """

    demand: int
    start: int
    end: int
    urgent: bool = False
    """A reader waits for them: they come before all else, with little patience for late ones."""


class Release(Value, frozen=True):
    """A demand does not want pieces any more, ``start`` up to ``end``: it has them, or it went."""

    demand: int
    start: int
    end: int


class Evicted(Value, frozen=True):
    """Pieces of the file are not in place any more. Nobody wants them, and no row needs them."""

    start: int
    end: int


class AddSource(Value, frozen=True):
    """One more source, with the next number; ``holdings`` as in ``Planner``."""

    holdings: frozenset[int] | None


class NoMoreSources(Value, frozen=True):
    """The answer to NeedSources where there is no further source: do with those that are known."""


class RemoveSource(Value, frozen=True):
    """A source is not to be asked any more; its number is not used again."""

    source: int


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
    | Want
    | Release
    | Evicted
    | AddSource
    | NoMoreSources
    | RemoveSource
    | Tick
)

# -- actions: to the engine -------------------------------------------------------------------


class Start(Value, frozen=True):
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


class Restart(Value, frozen=True):
    """The request now is the whole fragment from piece 0 up to ``end``, on the open answer."""

    request: int
    end: int


class Trim(Value, frozen=True):
    """The request ends before piece ``end``: others take the rest."""

    request: int
    end: int


class Cancel(Value, frozen=True):
    """Stop the request at once; nothing of it is wanted any more."""

    request: int


class Decode(Value, frozen=True):
    """Compute pieces of a row of an erasure set (a position in the layout's ``sets``).

    ``make`` are the fragments whose piece is missing, ``parity`` as many parity fragments whose
    piece is in place; all other data pieces of the row are in place too.
    """

    set: int
    row: int
    make: tuple[int, ...]
    parity: tuple[int, ...]


class Finished(Value, frozen=True):
    """Every wanted piece is done."""


class NeedSources(Value, frozen=True):
    """Known sources cannot send all of some fragments; requests for others may go on meanwhile.

    Only where ``more_sources`` was said. The answer is AddSource, as often as wanted, or
    NoMoreSources. ``fragments`` are positions in the layout; of an erasure set its parity as well.
    """

    fragments: tuple[int, ...]


class GiveUp(Value, frozen=True):
    """What is left can be had from no source. ``fragments`` are positions in the layout."""

    fragments: tuple[int, ...]
    corrupt: bool
    """Whether wrong bytes, rather than absent sources, are why."""


class Unavailable(Value, frozen=True):
    """Pieces can be had from no source: the wants for them are dropped.

    In place of GiveUp, where demands come and go. Who wants them again may say so, and each source
    is tried once more.
    """

    start: int
    end: int
    corrupt: bool
    """Whether wrong bytes, rather than absent sources, are why."""


Action: TypeAlias = (
    Start | Restart | Trim | Cancel | Decode | NeedSources | Finished | GiveUp | Unavailable
)
