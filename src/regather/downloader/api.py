"""The public functions: one download, for callers with and without asyncio."""

from __future__ import annotations

import threading
from collections.abc import Callable, Coroutine, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from regather.checksum import parse_checksum
from regather.downloader.job_runner import JobRunner
from regather.downloader.report import DownloadReport
from regather.downloader.run_context import OnProgress
from regather.errors import UsageError
from regather.names import texts
from regather.sources.jobs import DownloadJob
from regather.sources.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")


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
    runner = JobRunner(settings or Settings(), on_progress=on_progress, stop=stop)
    jobs = runner.expand(job)
    if len(jobs) > 1:
        names = [j.file.name for j in jobs if j.file is not None]
        raise UsageError(
            f"the metalink has {len(names)} files: {', '.join(names[:5])}...",
            help="choose one with select",
        )
    return runner.run(jobs[0])


def _in_thread(call: Callable[P, R]) -> Callable[P, Coroutine[Any, Any, R]]:
    """Call it from asyncio: in a thread, stopped by cancellation."""

    @wraps(call)
    async def called(*args: P.args, **named: P.kwargs) -> R:
        import asyncio  # costs as much as all else here, and most callers never need it

        arguments: dict[str, Any] = dict(named)
        stop = arguments["stop"] = arguments.get("stop") or threading.Event()
        if (on_progress := arguments.get("on_progress")) is not None:
            loop = asyncio.get_running_loop()
            arguments["on_progress"] = partial(loop.call_soon_threadsafe, on_progress)
        work = asyncio.ensure_future(asyncio.to_thread(call, *args, **arguments))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.set()
            await asyncio.wait([work])
            if not work.cancelled():
                work.exception()  # seen: it is the interruption
            raise

    return called


adownload = _in_thread(download)
adownload.__name__ = adownload.__qualname__ = "adownload"
adownload.__doc__ = """Call ``download`` from asyncio, with the same parameters.

It runs in a thread, and ``on_progress`` in the event loop. Cancelling the task sets ``stop``,
which stops the download: it can be resumed. The task ends after that.
"""
