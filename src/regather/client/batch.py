"""Many downloads: a few at the same time, none ended by the failure of another."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from regather.client.jobs import Job
from regather.client.report import DownloadReport
from regather.client.run import Session
from regather.client.settings import Settings, http_options
from regather.errors import InterruptedDownload, RegatherError
from regather.limiter import RateLimiter

__all__ = ["Outcome", "download_all", "worst"]

_LOOK_SECONDS = 0.2
_SEVERITY = (130, 3, 2, 1, 4)
"""Exit codes, the worst first: the user's stop, wrong content, then what a retry may mend."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one download of many ended: with a report or an error."""

    what: str
    """The name in a metalink, or the first source as it was named."""
    report: DownloadReport | None = None
    error: RegatherError | None = None


def worst(outcomes: Sequence[Outcome]) -> int:
    """The exit code of the one that went worst; 0 where all went well."""
    codes = {outcome.error.exit_code for outcome in outcomes if outcome.error is not None}
    return next((code for code in _SEVERITY if code in codes), max(codes, default=0))


def download_all(
    jobs: Sequence[Job],
    *,
    at_once: int,
    settings: Settings,
    on_outcome: Callable[[Outcome], None] | None = None,
) -> list[Outcome]:
    """Carry out all jobs, ``at_once`` of them at the same time; never raises for one of them.

    ``on_outcome`` is called in this thread as each ends. Ctrl-C ends all, resumably; those that
    were not begun end as interrupted too. A rate limit holds for all together.
    """
    stop = threading.Event()
    options = http_options(settings)
    limiter = RateLimiter(settings.limit_rate) if settings.limit_rate else None

    def carry_out(job: Job) -> list[Outcome]:
        if stop.is_set():
            return [_failed(job, InterruptedDownload("interrupted before it began"))]
        session = Session(settings, stop=stop, options=options, limiter=limiter)
        try:
            return [_one(session, each) for each in session.expand(job)]
        except RegatherError as error:
            return [_failed(job, error)]

    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(at_once, thread_name_prefix="regather-job") as pool:
        left: set[Future[list[Outcome]]] = {pool.submit(carry_out, job) for job in jobs}
        while left:
            try:
                ended, left = wait(left, _LOOK_SECONDS, FIRST_COMPLETED)
                for future in ended:
                    for outcome in future.result():
                        outcomes.append(outcome)
                        if on_outcome is not None:
                            on_outcome(outcome)
            except KeyboardInterrupt:
                stop.set()
    return outcomes


def _one(session: Session, job: Job) -> Outcome:
    try:
        return Outcome(_name(job), session.run(job))
    except RegatherError as error:
        return _failed(job, error)


def _failed(job: Job, error: RegatherError) -> Outcome:
    return Outcome(_name(job), error=error)


def _name(job: Job) -> str:
    return job.file.name if job.file is not None else (*job.sources, *job.fragments)[0]
