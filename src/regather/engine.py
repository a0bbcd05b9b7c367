"""The engine: asks the planner, carries out, tells it what happened.

    planner.handle(event) -> actions     under one lock, deciding only
    a worker a connection:               receive - hash - place, while the bytes are in the cache

Threads, not coroutines, carry the bytes: receiving, hashing and writing all release the
interpreter lock, so the workers run on all cores. This is the only module that knows both the
planner and the transports.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from regather.decoder import Decoder
from regather.digest import piece_hasher
from regather.limiter import RateLimiter
from regather.model import Layout, Source
from regather.planner import (
    Answered,
    Begin,
    Blame,
    Cancel,
    Cancelled,
    Decode,
    Decoded,
    DecodeFailed,
    Event,
    Failed,
    Finished,
    GiveUp,
    PieceCorrupt,
    PieceDone,
    Planner,
    Progress,
    RangeIgnored,
    Restart,
    Start,
    Tick,
    Trim,
)
from regather.store import AnyDestination
from regather.transport import TICK, Connection, Failure, RequestFailed, object_of
from regather.waiting import Waiting

Brought = Callable[[int, int, bytes], None]
"""Told a source, the running number of a piece that it sent, and the hash of what it sent."""
_TURNS = 16
_LOOK_SECONDS = 0.1
"""How long a row may wait for workers to compute it, who may all be waiting for bytes."""
_LEFT = 2
"""Rows to compute that a worker behind the others leaves to them."""
_JOIN_SECONDS = 2.0
"""How long to wait for workers at the end; one may hang in a name look-up."""


@dataclass(slots=True)
class SourceTally:
    """What a source brought and cost. Bytes are bodies as received, wanted or not."""

    received: int = 0
    useful: int = 0
    """Bytes of pieces that this source was the first to bring."""
    errors: int = 0
    corrupt: int = 0
    last_error: str = ""
    kinds: dict[str, int] = field(default_factory=dict)
    """Errors by kind."""
    refused: dict[int, str] = field(default_factory=dict)
    """Fragments (positions) that it turned out not to have, or not as they must be, and why."""

    def note(self, error: RequestFailed) -> None:
        """Count a failure."""
        self.errors += 1
        self.last_error = error.what
        kind = error.failure.value
        self.kinds[kind] = self.kinds.get(kind, 0) + 1


@dataclass(slots=True)
class _Job:
    """A request as its worker sees it; ``end`` and ``cancelled`` change while it runs."""

    start: Start
    end: int
    cancelled: bool = False
    told: bool = False
    """The source knows already, before its turn."""


class _Worker:
    """A thread with one connection to one source, kept for the next request."""

    def __init__(self, source: int) -> None:
        self.source = source
        self.jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self.lock = threading.Lock()
        self.job: _Job | None = None
        self.following: _Job | None = None
        """The job after this one, where it is known before this one ends."""
        self.connection: Connection | None = None
        self.at = 0
        """The piece that it is at, counted within its fragment."""
        self.buffer = memoryview(b"")
        """Takes the piece that is coming in, while a job runs."""

    def abort(self, job: _Job) -> None:
        """Break off ``job`` if that is what the worker is at."""
        with self.lock:
            if self.job is job and self.connection is not None:
                self.connection.abort()


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended: whole, or given up with the fragments (positions) that are missing."""

    missing: tuple[int, ...] = ()
    corrupt: bool = False


class Engine:
    """Runs one download to its end."""

    def __init__(
        self,
        planner: Planner,
        layout: Layout,
        sources: Sequence[Source],
        destination: AnyDestination,
        connect: Callable[[str], Connection],
        *,
        limiter: RateLimiter | None = None,
        brought: Brought | None = None,
    ) -> None:
        """``connect`` makes a connection for a source's URL.

        ``brought`` is called in the workers' threads, where there is no hash to verify with.
        """
        self._planner = planner
        self._layout = layout
        self._sources = sources
        self._destination = destination
        self._connect = connect
        self._limiter = limiter
        self._brought = brought
        self._hash = piece_hasher(layout.hash_algorithm)
        # Without hashes, what is in place stays: whoever comes second might send other bytes,
        # after those of the first were looked at.
        self._placed: set[int] = set()
        self._turns = [threading.Lock() for _ in range(_TURNS)]
        self.tallies = [SourceTally() for _ in sources]
        self.decoded = 0
        """Rows of erasure sets that were computed."""
        self._decoder = Decoder(layout, destination, self._row_ended, self._fail, planner.is_done)
        self._changed = threading.Condition()
        self._jobs: dict[int, tuple[_Job, _Worker]] = {}
        self._idle: list[list[_Worker]] = [[] for _ in sources]
        self._workers: list[_Worker] = []
        self._threads: list[threading.Thread] = []
        # One for each request in flight, not for each worker: idle workers need none.
        self._buffers: list[memoryview] = []
        self._ending: Ending | None = None
        self._error: BaseException | None = None
        self._stopping = False
        # A rate limit works on what was received: receive little enough to be even.
        self._gulp = layout.piece_size
        if limiter is not None:
            self._gulp = limiter.gulp(self._gulp)

    @property
    def done_bytes(self) -> int:
        """Bytes of the file, verified and in place by this run."""
        return self._planner.done_bytes

    # -- the caller's thread --------------------------------------------------------------

    def run(self, watch: Callable[[], None] | None = None, watch_seconds: float = 0.1) -> Ending:
        """Download until all is there or nothing more can be had.

        ``watch`` is called every ``watch_seconds`` in this thread; what it raises ends the run.
        Raises StorageError where the disk fails. Whatever happens, no worker is left running.
        """
        try:
            self._post(Begin())
            while True:
                with self._changed:
                    if self._ending or self._error:
                        break
                    wake = self._planner.wake_at
                    pause = None if wake is None else max(0.0, wake - time.monotonic())
                    if watch is not None:
                        pause = watch_seconds if pause is None else min(pause, watch_seconds)
                    if self._decoder.waiting:
                        pause = _LOOK_SECONDS if pause is None else min(pause, _LOOK_SECONDS)
                    self._changed.wait(pause)
                    due = wake is not None and time.monotonic() >= wake
                self._decoder.look_after(_LOOK_SECONDS)
                if due:
                    self._post(Tick())
                if watch is not None:
                    watch()
        finally:
            self._stop()
        if self._error is not None:
            raise self._error
        assert self._ending is not None
        return self._ending

    def _stop(self) -> None:
        with self._changed:
            self._stopping = True
            running = list(self._jobs.values())
            workers = list(self._workers)
        for job, worker in running:
            job.cancelled = True
            worker.abort(job)
        for worker in workers:
            worker.jobs.put(None)
        self._decoder.stop()
        until = time.monotonic() + _JOIN_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._decoder.join(_JOIN_SECONDS)

    # -- deciding -------------------------------------------------------------------------

    def _post(self, event: Event, worker: _Worker | None = None) -> _Job | None:
        """Tell the planner, carry out what it answers; return a next job for ``worker``.

        ``worker`` is given where it has nothing to do after this event: it gets the first new
        request for its source, or is listed as idle.
        """
        mine: _Job | None = None
        if worker is not None:
            mine, worker.following = worker.following, None
        orders: list[tuple[_Worker, _Job]] = []
        aborts: list[tuple[_Worker, _Job]] = []
        decodes: list[Decode] = []
        with self._changed:
            if self._stopping:
                return None
            actions = self._planner.handle(event, time.monotonic())
            if worker is not None:
                self._jobs.pop(getattr(event, "request", -1), None)
            for action in actions:
                match action:
                    case Start():
                        job = _Job(action, action.end)
                        if action.behind >= 0:
                            taker = self._jobs[action.behind][1]
                            taker.following = job
                        elif worker is not None and mine is None and worker.source == action.source:
                            mine, taker = job, worker
                        else:
                            taker = self._free_worker(action.source)
                            orders.append((taker, job))
                        self._jobs[action.request] = (job, taker)
                    case Cancel():
                        self._cancel(action, aborts)
                    case Trim() | Restart():
                        if entry := self._jobs.get(action.request):
                            entry[0].end = action.end
                    case Decode():
                        decodes.append(action)
                    case Finished():
                        self._ending = Ending()
                    case GiveUp():
                        self._ending = Ending(action.fragments, action.corrupt)
            if worker is not None and mine is None:
                self._idle[worker.source].append(worker)
            if actions or isinstance(event, Begin):
                self._changed.notify_all()
        for taker, new in orders:
            taker.jobs.put(new)
        for victim, job in aborts:
            victim.abort(job)
        # After these a worker is between two pieces; but where few work, computing is for others.
        by_callers = not isinstance(event, Begin | Tick | Progress | Answered | RangeIgnored)
        by_callers = by_callers and len(self._jobs) > self._decoder.most_threads
        for order in decodes:
            self._decoder.submit(
                order.set, order.row, order.make, order.parity, by_callers=by_callers
            )
        return mine

    def _row_ended(self, number: int, row: int, right: bool) -> None:
        with self._changed:
            self.decoded += right
        self._post(Decoded(number, row) if right else DecodeFailed(number, row))

    def _fail(self, error: BaseException) -> None:
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def _cancel(self, action: Cancel, aborts: list[tuple[_Worker, _Job]]) -> None:
        entry = self._jobs.get(action.request)
        if entry is not None:
            job, worker = entry
            job.cancelled = True
            aborts.append((worker, job))

    def _free_worker(self, source: int) -> _Worker:
        if self._idle[source]:
            return self._idle[source].pop()
        worker = _Worker(source)
        self._workers.append(worker)
        name = f"regather-{source}-{len(self._workers)}"
        thread = threading.Thread(target=self._work, args=(worker,), name=name, daemon=True)
        thread.start()
        self._threads.append(thread)
        return worker

    # -- carrying out ---------------------------------------------------------------------

    def _work(self, worker: _Worker) -> None:
        try:
            while (job := worker.jobs.get()) is not None:
                following: _Job | None = job
                while following is not None:
                    following = self._serve(worker, following)
        except BaseException as error:
            self._fail(error)
        finally:
            with worker.lock:
                if worker.connection is not None:
                    worker.connection.close()

    def _serve(self, worker: _Worker, job: _Job) -> _Job | None:
        """Carry out one request; return the next one for this worker."""
        source = worker.source
        with worker.lock:
            if worker.connection is None:
                worker.connection = self._connect(self._sources[source].url)
            worker.job = job
            if job.cancelled:
                # Cancelled before we got here: nobody could break off what had not begun.
                worker.connection.abort()
        connection = worker.connection
        event: Event
        broken = False
        worker.buffer = self._take_buffer()
        try:
            event = self._transfer(worker, connection, job)
        except RequestFailed as error:
            event = self._failure(source, job, error)
            # Where an object is not there the connection is as good as before.
            broken = error.failure is not Failure.MISSING
        finally:
            # Before the planner hears of the end, for it may begin another request at once.
            self._buffers.append(worker.buffer)
            with worker.lock:
                worker.job = None
        if job.cancelled or broken or isinstance(event, PieceCorrupt | Cancelled):
            connection.close()
            worker.connection = None
        following = self._post(event, worker) if not self._stopping else None
        self._decoder.catch_up(most=1, last=following is None)
        return following

    def _take_buffer(self) -> memoryview:
        """The buffer that was used last, which is in the cache, or a new one."""
        try:
            return self._buffers.pop()
        except IndexError:
            return memoryview(bytearray(self._layout.largest_piece))

    def _failure(self, source: int, job: _Job, error: RequestFailed) -> Event:
        request = job.start.request
        if job.cancelled or error.failure is Failure.ABORTED:
            return Cancelled(request)
        tally = self.tallies[source]
        asked = self._sources[source].fragments is None
        with self._changed:
            if not (asked and error.failure is Failure.MISSING):
                # A source that was only asked whether it has a fragment may say no.
                tally.note(error)
            if error.failure.lasting:
                tally.refused[job.start.fragment] = error.what
        if error.failure.lasting:
            return Failed(request, Blame.FRAGMENT)
        blame = Blame.BUSY if error.failure is Failure.BUSY else Blame.SOURCE
        return Failed(request, blame, error.retry_after)

    def _asked(self, start: Start) -> tuple[str, int, int, str]:
        """What to ask the source for: URL or path, first byte and end, validator."""
        fragment = self._layout.fragments[start.fragment]
        source = self._sources[start.source]
        target = object_of(source, fragment)
        first, last = self._layout.span(start.fragment, start.start, start.end)
        return target, first, last, source.validators.get(fragment.index, "")

    def _tell_ahead(self, worker: _Worker, connection: Connection) -> None:
        """Tell the source of the next request, where it is known."""
        job = worker.following
        if job is not None and not job.told and not job.cancelled:
            job.told = True
            connection.ahead(*self._asked(job.start))

    def _transfer(self, worker: _Worker, connection: Connection, job: _Job) -> Event:
        """Receive, hash and place the pieces of one request; return the event that ends it."""
        start = job.start
        fragment = self._layout.fragments[start.fragment]
        is_data = self._layout.is_data(start.fragment)
        tally = self.tallies[start.source]
        target, first, last, validator = self._asked(start)
        ranged = connection.request(target, first, last, fragment.size, validator)
        piece = start.start
        if ranged or (start.start == 0 and start.whole):
            self._post(Answered(start.request))
        else:
            self._post(RangeIgnored(start.request))
            piece = 0
        while True:
            self._tell_ahead(worker, connection)
            length = self._layout.length(start.fragment, piece)
            view = worker.buffer[:length]
            if not self._receive(worker, connection, view, job, tally):
                return Cancelled(start.request)
            if not self._planner.is_done(start.fragment, piece):
                digest = self._hash(view)
                expected = self._layout.hash_of(start.fragment, piece)
                if expected is not None and digest != expected:
                    with self._changed:
                        tally.corrupt += 1
                        tally.errors += 1
                        tally.last_error = f"wrong bytes in {fragment.name}, piece {piece}"
                    return PieceCorrupt(start.request, piece)
                number = self._layout.number(start.fragment, piece)
                offset = self._layout.offset(start.fragment, piece)
                if expected is None:
                    self._place_first(start.source, number, offset, view, digest)
                elif is_data or not self._kept(
                    worker, self._decoder.parity, start.fragment, piece, length
                ):
                    self._destination.place(number, offset, view, digest)
                with self._changed:
                    if not self._planner.is_done(start.fragment, piece):
                        tally.useful += length
                    computed = self._planner.likely_computed(start.fragment, piece)
                if computed:  # in place, but need then not be read back
                    self._kept(worker, self._decoder.data, start.fragment, piece, length)
            done = PieceDone(start.request, piece)
            piece += 1
            with self._changed:
                # One step, so that a Trim cannot come in between and be missed.
                last = piece >= job.end
                worker.at = piece
                if not last:
                    self._post(done)
                    behind = self._is_behind(worker)
            if last:
                connection.finish()
                return done
            self._decoder.catch_up(most=1, leave=_LEFT if behind else 0)

    def _is_behind(self, worker: _Worker) -> bool:
        """Whether a worker has not come as far in its fragment as most of the others in theirs."""
        places = [other.at for _, other in self._jobs.values()]
        return 2 * sum(at > worker.at for at in places) >= len(places)

    def _kept(
        self, worker: _Worker, waiting: Waiting, fragment: int, row: int, length: int
    ) -> bool:
        """Whether the piece in the worker's buffer waits in memory; the buffer is then another."""
        other = waiting.keep(fragment, row, worker.buffer, length)
        worker.buffer = other or worker.buffer
        return other is not None

    def _place_first(
        self, source: int, number: int, offset: int, view: memoryview, digest: bytes
    ) -> None:
        """Place a piece that cannot be verified, unless it is there already."""
        if self._brought is not None:
            self._brought(source, number, digest)
        with self._turns[number % _TURNS]:
            if number not in self._placed:
                self._destination.place(number, offset, view, digest)
                self._placed.add(number)

    def _receive(
        self,
        worker: _Worker,
        connection: Connection,
        view: memoryview,
        job: _Job,
        tally: SourceTally,
    ) -> bool:
        """Fill ``view``; returns False, at once, where the request is cancelled."""
        limiter = self._limiter
        have = 0
        looked = time.monotonic()
        while have < len(view) and not job.cancelled:
            into = view[have : have + self._gulp]
            count = (
                connection.receive(into)
                if limiter is None
                else limiter.receive(connection.receive, into, lambda: job.cancelled)
            )
            have += count
            tally.received += count
            now = time.monotonic()
            if now - looked >= TICK * 0.9 and have < len(view):
                looked = now
                self._post(Progress(job.start.request, have))
                self._decoder.catch_up(most=1)
                self._tell_ahead(worker, connection)
        return not job.cancelled
