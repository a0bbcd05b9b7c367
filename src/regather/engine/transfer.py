"""Requests carried out, by the threads of the workers: receive, hash, place, piece by piece."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from regather.digest import piece_hasher
from regather.engine.decoder import Decoder
from regather.engine.first_write_wins import Delivered, FirstWriteWins
from regather.engine.rate_limit import RateLimiter
from regather.engine.rests import Begun, PieceAtSource, Rests
from regather.engine.row_buffers import RowBuffers
from regather.engine.tally import SourceTally
from regather.engine.workers import Job, Worker, Workers
from regather.files.platform import new_buffer
from regather.model import Layout, Source
from regather.planner import (
    Answered,
    Blame,
    Cancelled,
    Event,
    Failed,
    PieceCorrupt,
    PieceDone,
    Planner,
    Progress,
    RangeIgnored,
    Start,
)
from regather.transport import TICK, Connection, Failure, RequestFailed, object_of

if TYPE_CHECKING:
    from regather.engine.observer import Observer
    from regather.store.base import PieceStore

_LATER_SECONDS = 0.02
"""How often a worker that is ahead of a reader looks for it."""
_LEFT = 2
"""Rows to compute that a worker behind the others leaves to them."""


class Transfers:
    """What all requests of a download have in common, and how one is carried out."""

    def __init__(
        self,
        planner: Planner,
        layout: Layout,
        sources: Sequence[Source],
        destination: PieceStore,
        tallies: Sequence[SourceTally],
        *,
        decoder: Decoder,
        workers: Workers,
        lock: threading.Condition,
        tell: Callable[[Event], object],
        limiter: RateLimiter | None,
        delivered: Delivered | None,
        later: Callable[[int], bool],
        observer: Observer | None,
    ) -> None:
        """``lock`` is the engine's, under which all is decided; ``tell`` tells the planner."""
        self._planner = planner
        self._layout = layout
        self._sources = sources
        self._destination = destination
        self._tallies = tallies
        self._decoder = decoder
        self._workers = workers
        self._changed = lock
        self._tell = tell
        self._limiter = limiter
        self._hash = piece_hasher(layout.hash_algorithm)
        self._observer = observer
        if observer is not None:
            observer.began(self._in_flight)
        self._rests = Rests()
        self._is_for_later = later
        self._first = FirstWriteWins(destination, delivered)
        self._served: set[tuple[int, int]] = set()
        """By source and fragment: what was answered well."""
        # A rate limit works on what was received: receive little enough to be even.
        self._gulp = layout.piece_size
        if limiter is not None:
            self._gulp = limiter.gulp(self._gulp)

    def carry_out(self, worker: Worker, connection: Connection, job: Job) -> Event:
        """Receive, hash and place the pieces of one request; return the event that ends it.

        Raises RequestFailed, and StorageError where the disk fails.
        """
        start = job.start
        fragment = self._layout.fragments[start.fragment]
        is_data = self._layout.is_data(start.fragment)
        tally = self._tallies[start.source]
        target, first, last, validator = self._asked(start)
        begun = None if start.whole or job.told else self._begun(start)
        at = begun.at if begun else 0
        ranged = connection.request(target, first + at, last, fragment.size, validator)
        if begun and ranged:
            begun.into(self._buffer_of(worker))
        else:
            begun, at = None, 0
        self._served.add((start.source, start.fragment))
        piece = start.start
        if ranged or (start.start == 0 and start.whole):
            self._tell(Answered(start.request))
        else:
            self._tell(RangeIgnored(start.request))
            piece = 0
        while True:
            self._tell_ahead(worker, connection)
            length = self._layout.length(start.fragment, piece)
            view = self._buffer_of(worker)[:length]
            job.piece = piece if ranged else -1
            if not self._receive(worker, connection, view, job, tally, at):
                return Cancelled(start.request)
            placed = ranged or self._is_awaited(job, piece)
            if placed and not self._planner.is_done(start.fragment, piece):
                digest = self._hash(view)
                expected = self._layout.hash_of(start.fragment, piece)
                if begun and not begun.ended(view, right=expected in (None, digest)):
                    what = f"{target}: wrong bytes in piece {piece}, received in several parts"
                    raise RequestFailed(Failure.DAMAGED, what)
                if expected is not None and digest != expected:
                    with self._changed:
                        tally.note_wrong(f"wrong bytes in {fragment.name}, piece {piece}")
                    if self._observer is not None:
                        self._observer.sent_corrupt(start.source, start.fragment, piece)
                    return PieceCorrupt(start.request, piece)
                number, adopted = self._layout.number(start.fragment, piece), False
                if expected is None:
                    self._first.place(start.source, number, view, digest)
                elif is_data or not self._kept(
                    worker, self._decoder.parity, start.fragment, piece, length
                ):
                    adopted = self._place(worker, start.fragment, piece, view, digest)
                with self._changed:
                    if not self._planner.is_done(start.fragment, piece):
                        tally.useful += length
                        if self._observer is not None:
                            self._observer.delivered(start.source, start.fragment, piece)
                    computed = self._planner.likely_computed(start.fragment, piece)
                if computed and not adopted:  # in place, but need then not be read back
                    self._kept(worker, self._decoder.data, start.fragment, piece, length)
            begun, at = None, 0
            done = PieceDone(start.request, piece, placed)
            piece += 1
            with self._changed:
                # One step, so that a Trim cannot come in between and be missed.
                last = piece >= job.end
                worker.at = piece
                if not last:
                    self._tell(done)
                    behind = self._workers.is_behind(worker)
            if last:
                connection.finish()
                return done
            self._decoder.catch_up(most=1, leave=_LEFT if behind else 0)

    def _buffer_of(self, worker: Worker) -> memoryview:
        """What takes the next piece: a new one where the last was kept with what is in it."""
        worker.buffer = worker.buffer or new_buffer(self._layout.largest_piece)
        return worker.buffer

    def _place(
        self, worker: Worker, fragment: int, piece: int, view: memoryview, digest: bytes
    ) -> bool:
        """Place a piece; True where the store has kept the worker's buffer with it."""
        number, adopts = self._layout.number(fragment, piece), len(view) == len(worker.buffer)
        if adopts and self._layout.sets:
            with self._changed:  # what computing is likely to need waits in row buffers
                adopts = not self._planner.likely_computed(fragment, piece)
        if adopts and (other := self._destination.adopt(number, view, digest)) is not None:
            worker.buffer = other
            return True
        if not adopts:
            self._destination.place(number, view, digest)
        return False

    def _in_flight(self) -> list[tuple[int, int, int, int]]:
        with self._changed:
            jobs = [job for job, _ in self._workers.jobs.values() if not job.cancelled]
        return [
            (job.start.source, job.start.fragment, max(job.piece, job.start.start), job.end)
            for job in jobs
        ]

    def _is_awaited(self, job: Job, piece: int) -> bool:
        """Whether a piece of a whole answer has to be placed: it is parity, or wanted.

        Waits for a reader that is behind it: the same answer would have to come once more.
        """
        fragment = job.start.fragment
        while True:
            with self._changed:
                if not self._layout.is_data(fragment) or self._planner.is_wanted(fragment, piece):
                    return True
                if job.cancelled or not self._is_for_later(self._layout.number(fragment, piece)):
                    return False
            time.sleep(_LATER_SECONDS)

    def _begun(self, start: Start) -> Begun | None:
        """What is there of a request's first piece already."""
        place = PieceAtSource(start.source, start.fragment, start.start)
        if not self._rests.begun(place):
            return None
        hashed = self._layout.hash_of(start.fragment, start.start) is not None
        return Begun(self._rests, place, hashed=hashed)

    def failed(self, worker: Worker, job: Job, error: RequestFailed) -> Event:
        """Note why a request failed, keep what came; return the event that ends it."""
        request = job.start.request
        if job.cancelled or error.failure is Failure.ABORTED:
            return Cancelled(request)
        tally = self._tallies[job.start.source]
        asked = self._sources[job.start.source].fragments is None
        with self._changed:
            passing = self._may_pass(job, error)
            lasting = error.failure.lasting and not passing
            if not (asked and error.failure is Failure.MISSING):
                # A source that was only asked whether it has a fragment may say no.
                tally.note(error)
                if self._observer is not None:
                    piece = max(job.piece, job.start.start)
                    self._observer.failed(job.start.source, job.start.fragment, piece, error)
            if lasting:
                tally.refused[job.start.fragment] = error.what
        if lasting:
            return Failed(request, Blame.FRAGMENT)
        blame = Blame.REFUSED if error.refused else Blame.SOURCE
        if passing or error.failure is Failure.BUSY:
            blame = Blame.BUSY
        kept = False
        if blame is Blame.SOURCE and job.piece >= 0 and job.received:
            place = PieceAtSource(job.start.source, job.start.fragment, job.piece)
            length = self._layout.length(place.fragment, place.piece)
            kept = self._rests.keep(place, worker.buffer[: job.received], length)
        return Failed(request, blame, error.retry_after, kept)

    def _may_pass(self, job: Job, error: RequestFailed) -> bool:
        """See RequestFailed.may_pass."""
        place = job.start.source, job.start.fragment
        others = (
            (other.start.source, other.start.fragment)
            for other, _ in self._workers.jobs.values()
            if other is not job and not other.cancelled
        )
        return error.may_pass(served=place in self._served, serving=place in others)

    def _kept(
        self, worker: Worker, waiting: RowBuffers, fragment: int, row: int, length: int
    ) -> bool:
        """Whether the piece in the worker's buffer waits in memory; the buffer is then another."""
        other = waiting.hold(fragment, row, worker.buffer, length)
        worker.buffer = other or worker.buffer
        return other is not None

    def _receive(
        self,
        worker: Worker,
        connection: Connection,
        view: memoryview,
        job: Job,
        tally: SourceTally,
        have: int,
    ) -> bool:
        """Fill ``view`` from ``have`` on; returns False, at once, where it is cancelled."""
        limiter = self._limiter
        looked = time.monotonic()
        while have < len(view) and not job.cancelled:
            into = view[have : have + self._gulp]
            try:
                count = (
                    connection.receive(into)
                    if limiter is None
                    else limiter.receive(connection.receive, into, lambda: job.cancelled)
                )
            except RequestFailed:
                job.received = have
                raise
            have += count
            tally.received += count
            now = time.monotonic()
            if now - looked >= TICK * 0.9 and have < len(view):
                looked = now
                self._tell(Progress(job.start.request, have))
                self._decoder.catch_up(most=1)
                self._tell_ahead(worker, connection)
        return not job.cancelled

    def _asked(self, start: Start) -> tuple[str, int, int, str]:
        """What to ask the source for: URL or path, first byte and end, validator."""
        fragment = self._layout.fragments[start.fragment]
        source = self._sources[start.source]
        target = object_of(source, fragment)
        first, last = self._layout.span(start.fragment, start.start, start.end)
        return target, first, last, source.validators.get(fragment.index, "")

    def _tell_ahead(self, worker: Worker, connection: Connection) -> None:
        """Tell the source of the next request, where it is known."""
        job = worker.following
        if job is not None and not job.told and not job.cancelled:
            job.told = True
            connection.ahead(*self._asked(job.start))
