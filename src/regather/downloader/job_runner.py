"""One download from the first look at its source to the finished file."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from regather.downloader.download_run import DownloadRun
from regather.downloader.existing_file import kept
from regather.downloader.placing import destination_of, path_for, seeds_of
from regather.downloader.progress import ProgressReporter, asking_progress
from regather.downloader.report import DownloadReport
from regather.downloader.run_context import OnProgress, RunContext, Watcher
from regather.downloader.wrong_file import WrongFile
from regather.engine.rate_limit import RateLimiter
from regather.errors import DestinationExistsError, InterruptedDownload, NotEnoughSourcesError
from regather.sources.download_target import DownloadTarget
from regather.sources.jobs import DownloadJob
from regather.sources.probing import FEW_RETRIES, GOES_ON, Probe, Prober
from regather.sources.recognise import expand_job, resolve_targets
from regather.sources.settings import Settings, transport_options, trust_rules
from regather.store import check_place, remove_partials
from regather.transport import TransportOptions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from regather.downloader.preview import Preview
    from regather.downloader.verified_stream import VerifiedStream
    from regather.store import AnyDestination
    from regather.store.seeds import Seed

_NO_SEEDS = "--seed has no effect: without piece hashes, unchanged pieces cannot be found"
_UNSTABLE = (
    "the file changed on its server during the download, or its nodes have different "
    "versions: it was downloaded again from the beginning"
)


class JobRunner:
    """Carries out jobs. ``run`` may be called from several threads."""

    def __init__(
        self,
        settings: Settings,
        *,
        on_progress: OnProgress | None = None,
        stop: threading.Event | None = None,
        options: TransportOptions | None = None,
        limiter: RateLimiter | None = None,
        claims: dict[str, DownloadJob] | None = None,
        watcher: Watcher | None = None,
    ) -> None:
        """``options``, ``limiter`` and ``claims`` may be shared with other runners.

        ``claims`` holds whose paths are: one job never replaces what another has written.
        ``watcher`` shows people what the downloads do.
        """
        began = time.monotonic()
        if limiter is None and settings.limit_rate:
            limiter = RateLimiter(settings.limit_rate, began)
        options = options or transport_options(settings)
        self._context = RunContext(settings, options, began, on_progress, stop, limiter, watcher)
        self._trust = trust_rules(settings)
        self._claims = {} if claims is None else claims

    def _prober_for(self, job: DownloadJob) -> Prober:
        retries = self._context.settings.retries
        on_progress = self._context.on_progress
        if len(job.sources) == 1:
            retries = min(retries, FEW_RETRIES)
        watch: Callable[[Sequence[Probe]], None] | None = None
        if on_progress is not None:

            def watch(asked: Sequence[Probe]) -> None:
                seconds = time.monotonic() - self._context.began
                on_progress(asking_progress(asked, retries, seconds))

        context = self._context
        return Prober(context.options, self._trust, retries=retries, stop=context.stop, watch=watch)

    def expand(self, job: DownloadJob) -> list[DownloadJob]:
        """The jobs that a job means: see recognise.expand_job."""
        if job.dest is not None and not os.path.isdir(job.dest):
            check_place(job.dest)
        return expand_job(job, self._prober_for(job))

    def preview(self, job: DownloadJob, into: Path | None = None) -> list[Preview]:
        """What a job would do, for each of its files; see preview.preview_of."""
        from regather.downloader.preview import preview_of

        prober = self._prober_for(job)
        return [
            preview_of(one, resolve_targets(one, prober)[0], into)
            for one in expand_job(job, prober)
        ]

    def run(self, job: DownloadJob) -> DownloadReport:
        """Carry out one job; raises what ``download`` does."""
        targets = resolve_targets(job, self._prober_for(job))
        return _first_right(targets, lambda target: self._download(job, target))

    def stream(
        self, job: DownloadJob, spool: int = 0, on_wait: Callable[[], None] = lambda: None
    ) -> VerifiedStream:
        """Begin to give the file of one job in order; raises what ``regather.stream`` does.

        ``on_wait`` is called about twice a second while a piece does not come.
        """
        from regather.downloader import feeds
        from regather.downloader.verified_stream import (
            VerifiedStream,
            check_streamable,
            is_verified_by_piece,
        )

        targets = resolve_targets(job, self._prober_for(job))
        for target in targets:
            check_streamable(job, target, spool)
        context = self._context
        if is_verified_by_piece(target := targets[0]):
            return VerifiedStream(target, feeds.SessionFeed(target, context, spool, on_wait))
        return _first_right(
            targets, lambda target: VerifiedStream(target, feeds.SpoolFeed(target, context))
        )

    def _download(self, job: DownloadJob, target: DownloadTarget) -> DownloadReport:
        try:
            if target.folder is not None:
                return self._run(job, target, None)
            path = path_for(job, target.name)
            if check_place(path) and not job.force:
                report = kept(target, path, ProgressReporter(target, self._context, path.name))
                remove_partials(path, target.layout, target.identity)
                return report
            if self._claims.setdefault(os.path.abspath(path), job) is not job:
                raise DestinationExistsError(
                    f"{path}: several downloads would write this file",
                    help="give each download its own name, with out=NAME in the list",
                )
            if not target.streamed:
                try:
                    return self._run(job, target, path)
                except _Unstable:
                    target = _noted(target, (), (_UNSTABLE,))
            from regather.downloader.stream import Stream

            return Stream(target, path, self._context, force=job.force).to_the_end()
        except KeyboardInterrupt:  # at the edges of the download itself
            raise InterruptedDownload("interrupted", help=f"{GOES_ON} from there") from None

    def _run(self, job: DownloadJob, target: DownloadTarget, path: Path | None) -> DownloadReport:
        """Download to ``path``, None: to the place of a folder. Raises _Unstable too."""
        destination: AnyDestination | None = None
        seeds: list[Seed] = []
        try:
            seeds = seeds_of(job, target, path)
            if job.seeds and not target.hashed:
                target = _noted(target, (), (_NO_SEEDS,))
            destination = destination_of(job, target, path)
            run = DownloadRun(target, destination, self._context, seeds)
            try:
                return run.to_the_end()
            except NotEnoughSourcesError:
                if path is None or not run.unstable:
                    raise
                destination.discard()
                raise _Unstable from None
        finally:
            if destination is not None:
                destination.close()
            for seed in seeds:
                seed.close()


_Result = TypeVar("_Result")


def _first_right(
    targets: Sequence[DownloadTarget], attempt: Callable[[DownloadTarget], _Result]
) -> _Result:
    """What comes of the first target that turns out to be the right file."""
    *likelier, last = targets
    notes: tuple[str, ...] = ()
    wrong: dict[str, str] = {}
    for target in likelier:
        try:
            return attempt(_noted(target, notes))
        except WrongFile as error:
            wrong |= {url: why for url, why in error.found.items() if url not in wrong}
            notes = (*notes, f"{error.what}; {', '.join(error.details)}; trying other sources")
    try:
        return attempt(_noted(last, notes))
    except WrongFile as error:
        raise WrongFile(error.what, {**error.found, **wrong}) from None
    except NotEnoughSourcesError as error:
        error.details += tuple(f"{url}: {why}" for url, why in wrong.items())
        raise


class _Unstable(Exception):
    """The file has no hashes, and is not the same everywhere or all the time."""


def _noted(
    target: DownloadTarget, before: tuple[str, ...], after: tuple[str, ...] = ()
) -> DownloadTarget:
    return replace(target, notes=(*before, *target.notes, *after))
