"""One request: asks a source for a run of pieces, and receives and verifies them one by one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from regather.digest import piece_hash
from regather.engine.rate_limit import RateLimiter
from regather.model import Layout, Source
from regather.reading.wants import Start
from regather.transport import Connection, Failure, RequestFailed, object_of

_SCRATCH = 256 << 10


class RangesIgnored(Exception):
    """The source would send all that stands before what is wanted, too."""


class WrongBytes(Exception):
    """A piece does not have its hash."""

    def __init__(self, piece: int) -> None:
        self.piece = piece
        super().__init__(piece)


@dataclass(slots=True)
class Job:
    """A request as its worker sees it."""

    start: Start
    cancelled: bool = False


class Listener(Protocol):
    """Who is told how a request goes on, in the thread that carries it out."""

    def answered(self, job: Job) -> None:
        """The body begins."""
        ...

    def received(self, job: Job, count: int) -> None:
        """So many bytes came, perhaps none."""
        ...

    def piece(self, job: Job, piece: int, data: memoryview) -> bool:
        """A piece is there and verified; returns whether the next one is wanted."""
        ...


def transfer(
    connection: Connection,
    layout: Layout,
    source: Source,
    job: Job,
    listener: Listener,
    limiter: RateLimiter | None,
) -> None:
    """Carry out a request as long as its pieces are wanted.

    Every piece gets memory of its own. Raises RequestFailed (Failure.ABORTED where the job is
    cancelled), RangesIgnored or WrongBytes; then the connection is of no use any more.
    """
    start = job.start
    fragment = layout.fragments[start.fragment]
    target = object_of(source, fragment)
    first, last = layout.span(start.fragment, start.start, start.end)
    validator = source.validators.get(fragment.index, "")
    ranged = connection.request(target, first, last, fragment.size, validator)
    listener.answered(job)
    if not ranged and first:
        if not start.drain:
            raise RangesIgnored
        scratch = memoryview(bytearray(min(first, _SCRATCH)))
        for at in range(0, first, len(scratch)):
            _receive(connection, scratch[: first - at], job, listener, limiter)
    piece, more = start.start, True
    while more:
        view = memoryview(bytearray(layout.length(start.fragment, piece)))
        _receive(connection, view, job, listener, limiter)
        if piece_hash(view) != layout.hash_of(start.fragment, piece):
            raise WrongBytes(piece)
        more = listener.piece(job, piece, view)
        piece += 1
    connection.finish()


def _receive(
    connection: Connection,
    view: memoryview,
    job: Job,
    listener: Listener,
    limiter: RateLimiter | None,
) -> None:
    gulp = len(view) if limiter is None else limiter.gulp(len(view))
    have = 0
    while have < len(view):
        if job.cancelled:
            raise RequestFailed(Failure.ABORTED, "aborted")
        into = view[have : have + gulp]
        count = (
            connection.receive(into)
            if limiter is None
            else limiter.receive(connection.receive, into, lambda: job.cancelled)
        )
        have += count
        listener.received(job, count)
