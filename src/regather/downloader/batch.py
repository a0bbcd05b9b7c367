"""Many downloads: a few at the same time, none ended by the failure of another."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from functools import partial

from regather.downloader.job_runner import JobRunner
from regather.downloader.report import DownloadReport, Progress
from regather.downloader.run_context import Watcher
from regather.engine.rate_limit import RateLimiter
from regather.errors import (
    DestinationExistsError,
    InterruptedDownload,
    RegatherError,
    of_system,
)
from regather.sources.jobs import DownloadJob
from regather.sources.settings import Settings, transport_options
from regather.tasks import interrupts_held, pool

__all__ = ["Outcome", "download_all", "name_of", "worst"]

_LOOK_SECONDS = 0.2
_SEVERITY = (130, 3, 2, 6, 1, 4)
"""Exit codes, the worst first: the user's stop, wrong content, what is in the way, then what a
retry may mend."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one download of many ended: with a report or an error."""

    what: str
    """The name in a metalink, or the first source as it was named."""
    report: DownloadReport | None = None
    error: RegatherError | None = None
    kept: str = ""
    """The path where the file was already, of an earlier run; it is left as it is."""
    sure: bool = True
    """Whether a hash says that it is the file; else only its size does."""


def worst(outcomes: Sequence[Outcome]) -> int:
    """The exit code of the one that went worst; 0 where all went well."""
    codes = {outcome.error.exit_code for outcome in outcomes if outcome.error is not None}
    return next((code for code in _SEVERITY if code in codes), max(codes, default=0))


def download_all(
    jobs: Sequence[DownloadJob],
    *,
    at_once: int,
    settings: Settings,
    on_outcome: Callable[[Outcome], None] | None = None,
    on_progress: Callable[[int, Progress | None], None] | None = None,
    watcher: Watcher | None = None,
) -> list[Outcome]:
    """Carry out all jobs, ``at_once`` of them at the same time; never raises for one of them.

    A file that is there already, of an earlier run, is kept and is no failure, if it has the
    hashes that are known, or where there are none the size. ``on_outcome`` is called in this thread
    as each ends; ``on_progress`` in any thread, with the number of a job and its moment, or None
    when it has ended. Ctrl-C ends all, resumably; those that were not begun end as interrupted too.
    A rate limit holds for all
    together.
    """
    stop = threading.Event()
    options = transport_options(settings)
    limiter = RateLimiter(settings.limit_rate) if settings.limit_rate else None

    claims: dict[str, DownloadJob] = {}

    def carry_out(number: int, job: DownloadJob) -> list[Outcome]:
        if stop.is_set():
            error = InterruptedDownload("interrupted before it started")
            return [Outcome(name_of(job), error=error)]
        show = None if on_progress is None else partial(on_progress, number)
        runner = JobRunner(
            settings,
            on_progress=show,
            stop=stop,
            options=options,
            limiter=limiter,
            claims=claims,
            watcher=watcher,
        )
        try:
            return [_one(runner, each, claims) for each in runner.expand(job)]
        except RegatherError as error:
            return [_failed(job, error, claims)]
        except BrokenPipeError:  # of our output
            raise
        except OSError as error:
            return [_failed(job, of_system(error), claims)]
        finally:
            if show is not None:
                show(None)

    outcomes: list[Outcome] = []
    with (
        interrupts_held() as interrupts,
        pool(min(at_once, len(jobs)), "regather-job") as threads,
    ):
        try:
            left: set[Future[list[Outcome]]] = {
                threads.submit(carry_out, number, job) for number, job in enumerate(jobs)
            }
            while left:
                ended, left = wait(left, _LOOK_SECONDS, FIRST_COMPLETED)
                if interrupts.pending:
                    stop.set()
                    interrupts.forget()  # the outcomes tell it
                for future in ended:
                    outcomes += future.result()
                    if on_outcome is not None:
                        for outcome in future.result():
                            on_outcome(outcome)
        except BaseException:
            stop.set()  # or leaving the pool would wait for all that is to come
            raise
    return outcomes


def _one(runner: JobRunner, job: DownloadJob, claims: Mapping[str, DownloadJob]) -> Outcome:
    try:
        report = runner.run(job)
    except RegatherError as error:
        return _failed(job, error, claims)
    if report.kept:
        return Outcome(name_of(job), kept=report.path)
    return Outcome(name_of(job), report)


def _failed(job: DownloadJob, error: RegatherError, claims: Mapping[str, DownloadJob]) -> Outcome:
    # What another job of this run has written is not of an earlier one.
    if (
        isinstance(error, DestinationExistsError)
        and error.unsure
        and os.path.abspath(error.path) not in claims
    ):
        return Outcome(name_of(job), kept=error.path, sure=False)
    return Outcome(name_of(job), error=error)


def name_of(job: DownloadJob) -> str:
    """The name in a metalink, or the first source as it was named."""
    return job.file.name if job.file is not None else (*job.sources, *job.fragments)[0]
