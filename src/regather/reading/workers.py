"""The workers of a file that is read: a thread a connection, who is at which request, who is idle.

Those of a download (``engine.workers``) have a lock each. These have none, for a reader that is
collected as garbage closes its file in whatever thread, be it one that is between two lines here:
all is done under the reentrant lock of the fetcher, save ``join``.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable

from regather.reading.transfer import Job
from regather.transport import Connection


class Worker:
    """A thread with one connection to one source, kept for the next request."""

    def __init__(self, source: int) -> None:
        self.source = source
        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.job: Job | None = None
        self.connection: Connection | None = None
        self.thread: threading.Thread | None = None

    def turn_to(self, job: Job, connect: Callable[[], Connection]) -> Connection:
        """Begin ``job``, on the connection that is there or a new one."""
        if self.connection is None:
            self.connection = connect()
        self.job = job
        if job.cancelled:
            # Cancelled before we got here: nobody could break off what had not begun.
            self.connection.abort()
        return self.connection

    def cancel(self, job: Job) -> None:
        """Break off ``job``, begun or not."""
        job.cancelled = True
        if self.job is job and self.connection is not None:
            self.connection.abort()


class Workers:
    """All workers of a file, and the jobs that they are at."""

    def __init__(self, sources: int, work: Callable[[Worker], None]) -> None:
        """``work`` is what the thread of a worker does, until it gets None for a job."""
        self._work = work
        self._running: dict[int, tuple[Job, Worker]] = {}
        self._idle: list[list[Worker]] = [[] for _ in range(sources)]
        self._all: list[Worker] = []

    def begin(self, job: Job) -> None:
        """Have a job carried out, by an idle worker for its source or a new one."""
        worker = self._free(job.start.source)
        self._running[job.start.request] = (job, worker)
        worker.jobs.put(job)

    def cancel(self, request: int) -> None:
        """Break off a request, if it is still carried out."""
        if running := self._running.get(request):
            job, worker = running
            worker.cancel(job)

    def ended(self, worker: Worker, job: Job) -> None:
        """``worker`` is through with ``job``, and free for another."""
        del self._running[job.start.request]
        self._idle[worker.source].append(worker)

    def stop(self) -> None:
        """Break off every job, and let every worker end."""
        for job, worker in self._running.values():
            worker.cancel(job)
        for worker in self._all:
            worker.jobs.put(None)

    def join(self, seconds: float) -> None:
        """Wait for the other threads, together so long at most. Not to be called under the lock."""
        until = time.monotonic() + seconds
        for worker in self._all:
            if worker.thread is not None and worker.thread is not threading.current_thread():
                worker.thread.join(max(0.0, until - time.monotonic()))

    def _free(self, source: int) -> Worker:
        if self._idle[source]:
            return self._idle[source].pop()
        worker = Worker(source)
        self._all.append(worker)
        name = f"regather-read-{source}-{len(self._all)}"
        worker.thread = threading.Thread(target=self._work, args=(worker,), name=name, daemon=True)
        worker.thread.start()
        return worker
