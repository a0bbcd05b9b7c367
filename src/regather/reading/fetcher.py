"""Carries out what the plan decides: a worker thread a connection, and the cache they fill.

A piece is received into memory of its own, hashed, compared, and only then put into the cache:
nobody ever sees a byte that was not verified. Decisions are made under one lock, all I/O and all
hashing happens outside.
"""

from __future__ import annotations

import atexit
import threading
import time
import weakref
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

from regather.engine import SourceTally
from regather.engine.rate_limit import RateLimiter
from regather.model import Layout, Source
from regather.reading.cache import Cache
from regather.reading.plan import Plan
from regather.reading.telling import Telling
from regather.reading.transfer import Job, RangesIgnored, WrongBytes, transfer
from regather.reading.wants import Cancel, Decode, Start
from regather.reading.workers import Worker, Workers
from regather.tasks import interrupts_held
from regather.transport import Connection, Failure, RequestFailed

_LOOK_SECONDS = 0.1
_JOIN_SECONDS = 2.0
"""How long to wait for workers at the end; one may hang in a name look-up."""
_WINDOW_BYTES = 32 << 20
_WINDOW_PIECES = 64
"""How far one read asks in front of what it has copied."""
_FLIGHT_BYTES = 64 << 20
_MOST_REQUESTS = 32

_open: weakref.WeakSet[Fetcher] = weakref.WeakSet()
_forsaken: list[Fetcher] = []
"""Those of the parent process, kept so that nothing of them is collected as garbage."""


@atexit.register
def _close_all() -> None:
    """Close what was left open, and wait for what other threads are closing.

    A library that closes files in a thread of its own, as pyarrow does, must not be overtaken by
    the end of the interpreter: what waits for Python then takes the process down.
    """
    for fetcher in list(_open):
        fetcher.close()
        fetcher.ended.wait(_JOIN_SECONDS)


class Fetcher:
    """Verified pieces of one file, for any number of threads. Close it."""

    def __init__(
        self,
        layout: Layout,
        sources: Sequence[Source],
        connect: Callable[[str], Connection],
        *,
        connections: int,
        retries: int,
        cache_size: int,
        limiter: RateLimiter | None = None,
    ) -> None:
        """``cache_size`` is in bytes; ``connect`` makes a connection for a source's URL."""
        self._layout = layout
        self._sources = sources
        self._connect = connect
        self._limiter = limiter
        self._cache = Cache(cache_size)
        self.tallies = [SourceTally(source.url) for source in sources]
        self._served: set[tuple[int, int]] = set()
        """By source and fragment: what was answered."""
        self.decoded = 0
        """Rows that were computed."""
        largest = max(layout.largest_piece, 1)
        self._plan = Plan(
            layout,
            [s.fragments for s in sources],
            self._cache,
            connections=connections,
            retries=retries,
            max_requests=max(2, min(_MOST_REQUESTS, _FLIGHT_BYTES // largest)),
        )
        window = min(_WINDOW_BYTES, cache_size // 2)
        self._window = max(1, min(_WINDOW_PIECES, window // largest))
        # Reentrant: a reader that is collected as garbage closes itself in whatever thread.
        self._changed = threading.Condition(threading.RLock())
        self._workers = Workers(len(sources), lambda worker: self._guarded(self._work, worker))
        self._pool: ThreadPoolExecutor | None = None
        self._error: BaseException | None = None
        self._failures: dict[int, Failure] = {}
        """By source: how its last request failed."""
        self._telling = Telling(layout, sources, self.tallies, self._failures, self._plan.holders)
        self._closed = False
        self.ended = threading.Event()
        """Set when ``close`` is through."""
        _open.add(self)

    # -- readers --------------------------------------------------------------------------

    def pieces(
        self, numbers: Sequence[int], ahead: Sequence[int] = ()
    ) -> Generator[memoryview, None, None]:
        """The pieces with these running numbers, verified, in this order; do not write to them.

        Those that come next are fetched meanwhile, and after them those of ``ahead``, which will
        probably be read next. Raises NotEnoughSourcesError or VerificationError where one is not
        to be had, ValueError where the file is closed meanwhile.
        """
        asked = done = 0
        try:
            for number in numbers:
                with self._changed:
                    new = False
                    while asked < min(done + self._window, len(numbers)):
                        new |= self._plan.want(numbers[asked])
                        asked += 1
                    if not done:
                        new |= self._plan.ahead(ahead)
                    if new:
                        self._carry_out()
                    piece = self._wait(number)
                yield piece
                with self._changed:
                    self._plan.release(number)
                    done += 1
        finally:
            with self._changed:
                for number in numbers[done:asked]:
                    self._plan.release(number)

    def _wait(self, number: int) -> memoryview:
        told = 0.0
        while True:
            if self._closed:
                raise ValueError("the file was closed")
            if self._error is not None:
                raise self._error
            piece = self._cache.get(number)
            if piece is not None:
                return piece
            if number in self._plan.failed:
                raise self._telling.missing(number)
            self._carry_out()
            if number not in self._plan.failed:
                if not self._workers.busy:
                    told = self._telling.pause(number, told)
                self._changed.wait(_LOOK_SECONDS)

    def close(self) -> None:
        """Break off everything and end all threads."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._workers.stop()
            self._changed.notify_all()
        with interrupts_held():
            self._workers.join(_JOIN_SECONDS)
            if self._pool is not None:
                self._pool.shutdown()
        with self._changed:
            self._cache.clear()
        self.ended.set()

    def forsake(self) -> None:
        """In a child process after a fork: let go of everything, and touch nothing of the parent.

        The threads are not here, and a lock may be held by one of them for ever. What connections
        share with those of the parent is not shut down; what would say good-bye to a server when
        it is collected as garbage is kept.
        """
        self._changed = threading.Condition(threading.RLock())
        self._closed = True
        self.ended = threading.Event()
        self.ended.set()
        self._cache.clear()
        for worker in self._workers.members.values():
            if worker.connection is not None:
                worker.connection.forsake()
        _forsaken.append(self)

    # -- under the lock -------------------------------------------------------------------

    def _carry_out(self) -> None:
        """Let the plan decide, and begin what it decides."""
        if self._closed:
            return
        for action in self._plan.decide(time.monotonic()):
            match action:
                case Start():
                    self._workers.begin(Job(action))
                case Cancel():
                    self._workers.cancel(action.request)
                case Decode():
                    if self._pool is None:
                        self._pool = ThreadPoolExecutor(2, "regather-read-decode")
                    self._pool.submit(self._guarded, self._decode, action)

    # -- workers --------------------------------------------------------------------------

    def _guarded(self, run: Callable[..., None], argument: object) -> None:
        """Run it; what it must not raise, but does, ends all reads."""
        try:
            run(argument)
        except BaseException as error:
            with self._changed:
                self._error = self._error or error
                self._changed.notify_all()

    def _work(self, worker: Worker) -> None:
        try:
            while (job := worker.jobs.get()) is not None:
                self._serve(worker, job)
                with self._changed:
                    self._workers.ended(worker, job)
                    self._carry_out()
                    self._changed.notify_all()
        finally:
            with self._changed:
                connection, worker.connection = worker.connection, None
            if connection is not None:
                connection.close()

    def _serve(self, worker: Worker, job: Job) -> None:
        """Carry out one request, and tell the plan how it ended."""
        with self._changed:
            url = self._sources[worker.source].url
            connection = worker.turn_to(job, lambda: self._connect(url))
        request, plan = job.start.request, self._plan
        whole = False
        try:
            transfer(
                connection, self._layout, self._sources[worker.source], job, self, self._limiter
            )
            whole = True
            with self._changed:
                plan.ended(request)
        except RangesIgnored:
            with self._changed:
                plan.ranges_ignored(request)
        except WrongBytes as wrong:
            name = self._layout.fragments[job.start.fragment].name
            with self._changed:
                what = f"wrong bytes in {name}, piece {wrong.piece}"
                self.tallies[worker.source].note_wrong(what)
                plan.piece_corrupt(request, wrong.piece, time.monotonic())
        except RequestFailed as error:
            with self._changed:
                self._failed(job, error)
        with self._changed:
            worker.job = None
            if job.cancelled or not whole:
                worker.connection = None
        if job.cancelled or not whole:
            connection.close()

    def _failed(self, job: Job, error: RequestFailed) -> None:
        start, plan = job.start, self._plan
        if job.cancelled or error.failure is Failure.ABORTED:
            plan.ended(start.request)
            return
        tally = self.tallies[start.source]
        place = start.source, start.fragment
        passing = error.may_pass(
            served=place in self._served, serving=self._workers.serve(*place, besides=job)
        )
        lasting = error.failure.lasting and not passing
        self._failures[start.source] = error.failure
        if self._sources[start.source].fragments is not None or not lasting:
            tally.note(error)
        if lasting:
            tally.refused[start.fragment] = error.what
            plan.fragment_absent(start.request)
            return
        busy = passing or error.failure is Failure.BUSY
        plan.source_failed(start.request, time.monotonic(), busy=busy, pause=error.retry_after)

    # -- how requests go on: see transfer.Listener ----------------------------------------

    def answered(self, job: Job) -> None:
        """The body of an answer begins."""
        with self._changed:
            self._served.add((job.start.source, job.start.fragment))
            self._plan.answered(job.start.request, time.monotonic())

    def received(self, job: Job, count: int) -> None:
        """So many bytes came."""
        with self._changed:
            self.tallies[job.start.source].received += count
            if count:
                self._plan.progress(job.start.request, count, time.monotonic())

    def piece(self, job: Job, piece: int, data: memoryview) -> bool:
        """A piece is verified; returns whether the request is to go on."""
        start = job.start
        with self._changed:
            self._cache.put(self._layout.number(start.fragment, piece), data)
            more = self._plan.piece_done(start.request, piece, time.monotonic())
            self._carry_out()
            self._changed.notify_all()
        return more

    def _decode(self, order: Decode) -> None:
        """Compute pieces of a row, and put them into the cache."""
        from regather.coding.rows import compute_row  # most reads never need it

        layout = self._layout
        with self._changed:
            pieces = {
                member: piece
                for member in order.have
                if layout.pieces_of(member) > order.row
                and (piece := self._cache.get(layout.number(member, order.row))) is not None
            }
        length = layout.length(layout.sets[order.set].parity[0], order.row)
        out = {member: memoryview(bytearray(length)) for member in order.make}

        def read(member: int, start: int, into: memoryview) -> None:
            into[:] = pieces[member][start : start + len(into)]

        whole = {member: piece for member, piece in pieces.items() if len(piece) == length}
        right = compute_row(
            layout, order.set, order.row, order.have, order.make, read, out, whole=whole
        )
        made = {f: out[f][: layout.length(f, order.row)] for f in order.make}
        if len(right) < len(made):
            made = {}
        with self._changed:
            self.decoded += bool(made)
            for member, view in made.items():
                self._cache.put(layout.number(member, order.row), view)
            self._plan.decoded(order.set, order.row, bool(made))
            self._carry_out()
            self._changed.notify_all()
