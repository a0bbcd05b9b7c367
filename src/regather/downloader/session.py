"""One download from the first look at its source to the finished file."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from regather.checksum import parse_checksum
from regather.downloader.existing_file import Watch, kept
from regather.downloader.placing import destination_of, path_for, seeds_of
from regather.downloader.progress import OnProgress, asking_progress
from regather.downloader.report import DownloadReport, Progress, RateMeter
from regather.downloader.rounds import DownloadRun
from regather.downloader.wrong_file import WrongFile
from regather.engine.rate_limit import RateLimiter
from regather.errors import (
    DestinationExistsError,
    InterruptedDownload,
    NotEnoughSourcesError,
    UsageError,
)
from regather.names import texts
from regather.sources.download_target import DownloadTarget
from regather.sources.jobs import DownloadJob
from regather.sources.probing import FEW_RETRIES, GOES_ON, Prober
from regather.sources.recognise import expand_job, resolve_targets
from regather.sources.settings import Settings, transport_options
from regather.store import check_place
from regather.transport import TransportOptions

if TYPE_CHECKING:
    from regather.downloader.preview import Preview
    from regather.store import AnyDestination
    from regather.store.seeds import Seed

_NO_SEEDS = "--seed has no effect: without piece hashes, unchanged pieces cannot be found"
_UNSTABLE = (
    "the file changed on its server during the download, or its nodes have different "
    "versions: it was downloaded again from the beginning"
)


def download(
    source: str | Path | Sequence[str | Path] | None = None,
    dest: str | Path | None = None,
    *,
    fragments: Sequence[str | Path] = (),
    servers: Sequence[str | Path] = (),
    digest: str = "",
    checksum: str | Sequence[str] = (),
    select: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    location: str = "",
    seeds: str | Path | Sequence[str | Path] = (),
    force: bool = False,
    settings: Settings | None = None,
    on_progress: OnProgress | None = None,
    stop: threading.Event | None = None,
) -> DownloadReport:
    """Download one file from all its sources at the same time: verified, resumable, atomic.

    - ``source``: a manifest or a metalink (path or URL), the URL of the file, or several URLs of
      mirrors that have the whole file.
    - ``dest``: a file or an existing folder. The default is the name of the file, in the current
      folder. For a manifest of a folder, ``dest`` becomes that folder.
    - ``fragments``: without ``source``, the URLs of plain fragments in order, which cannot be
      verified. With a manifest, more places of its fragments, recognized by their names.
    - ``servers``: more sources of a manifest (URL, HOST:PORT or folder).
    - ``digest``: the expected digest of the manifest.
    - ``checksum``: the expected hash of the file, ``ALGO:HEX``, for example ``sha256:...``.
    - ``select``: one file of a metalink, or files of a folder: paths, or patterns with ``*``.
    - ``exclude``: files of a folder to skip, in the same form.
    - ``location``: the country of preferred mirrors of a metalink.
    - ``seeds``: older versions of the file or folder. Pieces that are unchanged at the same offset
      are not downloaded. With ``force``, the replaced file is one of them.
    - ``on_progress``: called in this thread about ten times per second.
    - ``stop``: when set, stops the download, which can be resumed.

    Raises UsageError, ManifestError, VerificationError, NotEnoughSourcesError, StorageError or
    InterruptedDownload. After an error, verified data is kept beside ``dest``, and the same call
    resumes. Only a complete file with a wrong hash is not kept.
    """
    settings = settings or Settings()
    checksums = (checksum,) if isinstance(checksum, str) else checksum
    job = DownloadJob(
        texts(source),
        None if dest is None else Path(dest),
        texts(fragments),
        texts(servers),
        digest,
        force,
        tuple(map(parse_checksum, checksums)),
        location,
        texts(seeds),
        texts(select or None),
        texts(exclude or None),
    )
    session = Session(settings, on_progress=on_progress, stop=stop)
    jobs = session.expand(job)
    if len(jobs) > 1:
        names = [j.file.name for j in jobs if j.file is not None]
        raise UsageError(
            f"the metalink has {len(names)} files: {', '.join(names[:5])}...",
            help="choose one with select",
        )
    return session.run(jobs[0])


async def adownload(
    source: str | Path | Sequence[str | Path] | None = None,
    dest: str | Path | None = None,
    *,
    fragments: Sequence[str | Path] = (),
    servers: Sequence[str | Path] = (),
    digest: str = "",
    checksum: str | Sequence[str] = (),
    select: str | Sequence[str] = (),
    exclude: str | Sequence[str] = (),
    location: str = "",
    seeds: str | Path | Sequence[str | Path] = (),
    force: bool = False,
    settings: Settings | None = None,
    on_progress: OnProgress | None = None,
) -> DownloadReport:
    """Call ``download`` from asyncio: it runs in a thread, and ``on_progress`` in the event loop.

    Cancelling the task stops the download, which can be resumed. The task ends after that.
    """
    import asyncio  # costs as much as all else here, and most callers never need it

    loop = asyncio.get_running_loop()
    stop = threading.Event()
    relay: OnProgress | None = None
    if on_progress is not None:
        callback = on_progress

        def relay(progress: Progress) -> None:
            loop.call_soon_threadsafe(callback, progress)

    work = asyncio.ensure_future(
        asyncio.to_thread(
            download,
            source,
            dest,
            fragments=fragments,
            servers=servers,
            digest=digest,
            checksum=checksum,
            select=select,
            exclude=exclude,
            location=location,
            seeds=seeds,
            force=force,
            settings=settings,
            on_progress=relay,
            stop=stop,
        )
    )
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # seen: it is the interruption
        raise


class Session:
    """How to download, for one job or more. ``run`` may be called from several threads."""

    def __init__(
        self,
        settings: Settings,
        *,
        on_progress: OnProgress | None = None,
        stop: threading.Event | None = None,
        options: TransportOptions | None = None,
        limiter: RateLimiter | None = None,
        claims: dict[str, DownloadJob] | None = None,
    ) -> None:
        """``options``, ``limiter`` and ``claims`` may be shared with other sessions.

        ``claims`` holds whose paths are: one job never replaces what another has written.
        """
        self._settings = settings
        self._on_progress = on_progress
        self._stop = stop
        self._began = time.monotonic()
        self._claims = {} if claims is None else claims
        self.options = options or transport_options(settings)
        self.limiter = limiter
        if limiter is None and settings.limit_rate:
            self.limiter = RateLimiter(settings.limit_rate, self._began)

    def _asking_for(self, job: DownloadJob) -> Prober:
        retries, on_progress = self._settings.retries, self._on_progress
        if len(job.sources) == 1:
            retries = min(retries, FEW_RETRIES)
        return Prober(
            self.options,
            retries=retries,
            stop=self._stop,
            watch=on_progress
            and (
                lambda asked: on_progress(
                    asking_progress(asked, retries, time.monotonic() - self._began)
                )
            ),
        )

    def expand(self, job: DownloadJob) -> list[DownloadJob]:
        """The jobs that a job means: see recognise.expand_job."""
        if job.dest is not None and not os.path.isdir(job.dest):
            check_place(job.dest)
        return expand_job(job, self._asking_for(job))

    def preview(self, job: DownloadJob, into: Path | None = None) -> list[Preview]:
        """What a job would do, for each of its files; see preview.preview_of."""
        from regather.downloader.preview import preview_of

        asking = self._asking_for(job)
        return [
            preview_of(one, resolve_targets(one, asking)[0], into)
            for one in expand_job(job, asking)
        ]

    def run(self, job: DownloadJob) -> DownloadReport:
        """Carry out one job; raises what ``download`` does."""
        targets = resolve_targets(job, self._asking_for(job))
        notes: tuple[str, ...] = ()
        wrong: dict[str, str] = {}
        for target in targets[:-1]:
            try:
                return self._download(job, replace(target, notes=(*notes, *target.notes)))
            except WrongFile as error:
                wrong |= {url: why for url, why in error.found.items() if url not in wrong}
                notes = (*notes, f"{error.what}; {', '.join(error.details)}; trying other sources")
        target = targets[-1]
        try:
            return self._download(job, replace(target, notes=(*notes, *target.notes)))
        except WrongFile as error:
            raise WrongFile(error.what, {**error.found, **wrong}) from None
        except NotEnoughSourcesError as error:
            error.details += tuple(f"{url}: {why}" for url, why in wrong.items())
            raise

    def _download(self, job: DownloadJob, target: DownloadTarget) -> DownloadReport:
        destination: AnyDestination | None = None
        seeds: list[Seed] = []
        try:
            path = None if target.folder is not None else path_for(job, target.name)
            if path is not None and check_place(path) and not job.force:
                return kept(target, path, self._watching(target, path))
            if path is not None and self._claims.setdefault(os.path.abspath(path), job) is not job:
                raise DestinationExistsError(
                    f"{path}: several downloads would write this file",
                    help="give each download its own name, with out=NAME in the list",
                )
            if path is not None and target.streamed:
                return self._stream(job, target, path)
            seeds = seeds_of(job, target, path)
            if job.seeds and not target.hashed:
                target = replace(target, notes=(*target.notes, _NO_SEEDS))
            destination = destination_of(job, target, path)
            run = DownloadRun(
                target,
                destination,
                self._settings,
                self.options,
                on_progress=self._on_progress,
                stop=self._stop,
                began=self._began,
                limiter=self.limiter,
                seeds=seeds,
            )
            try:
                return run.to_the_end()
            except NotEnoughSourcesError:
                if path is None or not run.unstable:
                    raise
            destination.discard()
            return self._stream(job, replace(target, notes=(*target.notes, _UNSTABLE)), path)
        except KeyboardInterrupt:  # at the edges of the download itself
            raise InterruptedDownload("interrupted", help=f"{GOES_ON} from there") from None
        finally:
            if destination is not None:
                destination.close()
            for seed in seeds:
                seed.close()

    def _stream(self, job: DownloadJob, target: DownloadTarget, path: Path) -> DownloadReport:
        from regather.downloader.stream import Stream

        return Stream(
            target,
            path,
            self._settings,
            self.options,
            force=job.force,
            on_progress=self._on_progress,
            stop=self._stop,
            began=self._began,
            limiter=self.limiter,
        ).to_the_end()

    def _watching(self, target: DownloadTarget, path: Path) -> Watch:
        """What tells of a file that is looked at, and ends the look on a stop."""
        meter, done = RateMeter(), 0

        def watch(size: int) -> None:
            nonlocal done
            done += size
            now = time.monotonic()
            if self._stop is not None and self._stop.is_set():
                raise InterruptedDownload("stopped before the download began", help=GOES_ON)
            if self._on_progress is not None:
                rate = meter.read(now, done)
                self._on_progress(
                    Progress(
                        "checking",
                        path.name,
                        target.layout.size,
                        done,
                        rate,
                        None,
                        now - self._began,
                        (),
                        self._settings.retries,
                        target.notes,
                    )
                )

        return watch
