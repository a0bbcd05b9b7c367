"""The public functions: one download or stream, for callers with and without asyncio."""

from __future__ import annotations

import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from regather.checksum import Checksum, parse_checksum
from regather.downloader.job_runner import JobRunner
from regather.downloader.report import DownloadReport
from regather.downloader.run_context import OnProgress
from regather.errors import UsageError
from regather.names import texts
from regather.sources.jobs import DownloadJob
from regather.sources.settings import Settings

if TYPE_CHECKING:
    from regather.downloader.verified_stream import VerifiedStream

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
    job = DownloadJob(
        texts(source),
        None if dest is None else Path(dest),
        texts(fragments),
        texts(servers),
        digest,
        force,
        _checksums(checksum),
        location,
        texts(seeds),
        texts(select or None),
        texts(exclude or None),
    )
    runner = JobRunner(settings or Settings(), on_progress=on_progress, stop=stop)
    return runner.run(_only(runner.expand(job)))


def _checksums(given: str | Sequence[str]) -> tuple[Checksum, ...]:
    return tuple(map(parse_checksum, (given,) if isinstance(given, str) else given))


def _only(jobs: Sequence[DownloadJob]) -> DownloadJob:
    if len(jobs) > 1:
        names = [j.file.name for j in jobs if j.file is not None]
        raise UsageError(
            f"the metalink has {len(names)} files: {', '.join(names[:5])}...",
            help="choose one with select",
        )
    return jobs[0]


def stream(
    source: str | Path | Sequence[str | Path],
    *,
    servers: Sequence[str | Path] = (),
    digest: str = "",
    checksum: str | Sequence[str] = (),
    select: str = "",
    location: str = "",
    spool: int = 0,
    settings: Settings | None = None,
    on_progress: OnProgress | None = None,
    stop: threading.Event | None = None,
) -> VerifiedStream:
    """Download one file in order: an iterator of bytes, each piece verified before it is given.

    - ``source``, ``servers``, ``digest``, ``checksum``, ``location``: as for ``download``.
    - ``select``: one file of a metalink. A folder is given as the tar that it is packed in.
    - ``spool``: the bytes of pieces that may wait on the disk, in the folder for temporary files.
      By default 64 MiB wait in memory. A file that only a checksum verifies is received whole in
      it first.
    - ``on_progress``: called in a thread of the stream, about ten times per second.
    - ``stop``: when set, the iterator raises InterruptedDownload.

    Raises what ``download`` raises, the iterator too. Bytes given before an error are right.
    """
    job = DownloadJob(
        texts(source),
        servers=texts(servers),
        digest=digest,
        checksums=_checksums(checksum),
        location=location,
        select=texts(select or None),
    )
    runner = JobRunner(settings or Settings(), on_progress=on_progress, stop=stop)
    return runner.stream(_only(runner.expand(job)), spool)


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


def _from_threads(call: Callable[P, VerifiedStream]) -> Callable[P, AsyncGenerator[bytes]]:
    """The same for asyncio: pieces are waited for in threads, and closing it ends them."""

    @wraps(call)
    async def called(*args: P.args, **named: P.kwargs) -> AsyncGenerator[bytes]:
        import asyncio

        arguments: dict[str, Any] = dict(named)
        stop = arguments["stop"] = arguments.get("stop") or threading.Event()
        beginning = asyncio.ensure_future(asyncio.to_thread(call, *args, **arguments))
        try:
            pieces = await asyncio.shield(beginning)
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                yield piece
        finally:
            stop.set()
            await asyncio.wait([beginning])
            if beginning.exception() is None:
                await asyncio.to_thread(beginning.result().close)

    return called


astream = _from_threads(stream)
astream.__name__ = astream.__qualname__ = "astream"
astream.__doc__ = """Call ``stream`` from asyncio, with the same parameters: an async iterator.

``on_progress`` is called in a thread. Closing the iterator (``contextlib.aclosing``), or cancelling
the task, ends the download.
"""
