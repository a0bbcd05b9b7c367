"""The workers of a file that is read: a thread a connection, who is at which request, who is idle.

Those of a download (``engine.workers``) have a lock each. These have none, for a reader that is
collected as garbage closes its file in whatever thread, be it one that is between two lines here:
all is done under the reentrant lock of the fetcher, save ``join``.
"""

from __future__ import annotations

import queue
from collections.abc import Callable

from regather.engine.worker_pool import WorkerPool
from regather.reading.transfer import Job
from regather.transport import Connection


class Worker:
    """A thread with one connection to one source, kept for the next request."""

    def __init__(self, source: int) -> None:
        self.source = source
        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.job: Job | None = None
        self.connection: Connection | None = None

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


class Workers(WorkerPool[Worker]):
    """All workers of a file, and the jobs that they are at."""

    def __init__(self, sources: int, work: Callable[[Worker], None]) -> None:
        """``work`` is what the thread of a worker does, until it gets None for a job."""
        super().__init__(sources, "regather-read", Worker, work)
        self._running: dict[int, tuple[Job, Worker]] = {}

    def begin(self, job: Job) -> None:
        """Have a job carried out, by an idle worker for its source or a new one."""
        worker = self.free(job.start.source)
        self._running[job.start.request] = (job, worker)
        worker.jobs.put(job)

    @property
    def busy(self) -> bool:
        """Whether any job is carried out."""
        return bool(self._running)

    def cancel(self, request: int) -> None:
        """Break off a request, if it is still carried out."""
        if running := self._running.get(request):
            job, worker = running
            worker.cancel(job)

    def serve(self, source: int, fragment: int, *, besides: Job) -> bool:
        """Whether another job than ``besides`` is at that fragment of that source."""
        return any(
            (job.start.source, job.start.fragment) == (source, fragment)
            for job, _ in self._running.values()
            if job is not besides and not job.cancelled
        )

    def ended(self, worker: Worker, job: Job) -> None:
        """``worker`` is through with ``job``, and free for another."""
        del self._running[job.start.request]
        self.rest(worker)

    def stop(self) -> None:
        """Break off every job, and let every worker end."""
        for job, worker in self._running.values():
            worker.cancel(job)
        for worker in self.members.values():
            worker.jobs.put(None)
