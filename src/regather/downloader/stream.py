"""A file in one go: for servers that do not tell its size, or whose file changes all the time.

Nothing is known of such a file before it is there: no pieces, no second source, no resumption. One
answer is received from its first byte to its end, under a temporary name; a checksum decides, and
without one the end of the answer must be told by the server.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from regather.digest import new_hasher
from regather.downloader.progress import OnProgress
from regather.downloader.report import (
    DownloadReport,
    Progress,
    RateMeter,
    SourceProgress,
    SourceReport,
)
from regather.downloader.wrong_file import WrongFile
from regather.engine.rate_limit import RateLimiter
from regather.errors import (
    DestinationExistsError,
    InterruptedDownload,
    NotEnoughSourcesError,
    StorageError,
)
from regather.files.atomic import AtomicFile, remove_leftovers
from regather.sources.download_target import DownloadTarget
from regather.sources.probing import GOES_ON
from regather.sources.settings import Settings
from regather.store import check_destination
from regather.transport import Failure, HttpConnection, RequestFailed, TransportOptions

_STEP = 1 << 20
_TELL_SECONDS = 0.1
_PAUSE = 0.3


class Stream:
    """The download of a target in one go."""

    def __init__(
        self,
        target: DownloadTarget,
        path: Path,
        settings: Settings,
        options: TransportOptions,
        *,
        force: bool,
        on_progress: OnProgress | None,
        stop: threading.Event | None,
        began: float,
        limiter: RateLimiter | None,
    ) -> None:
        self._target = target
        self._path = path
        self._settings = settings
        self._options = options
        self._force = force
        self._on_progress = on_progress
        self._stop = stop
        self._began = began
        self._limiter = limiter
        self._meter = RateMeter()
        self._received = [0] * len(target.sources)
        self._errors: list[list[RequestFailed]] = [[] for _ in target.sources]

    def to_the_end(self) -> DownloadReport:
        """Download, check, give the file its name.

        Raises WrongFile, NotEnoughSourcesError, StorageError, UsageError or InterruptedDownload.
        """
        check_destination(self._path, force=self._force)
        try:
            remove_leftovers(str(self._path.parent), deep=False)
            folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                return self._from_any(folder)
            finally:
                os.close(folder)
        except FileExistsError:
            error = DestinationExistsError(
                f"{self._path}: already exists, and is kept",
                help="use --force to replace it",
            )
            error.path = str(self._path)
            raise error from None
        except OSError as failed:
            raise StorageError(f"{self._path}: {failed.strerror or failed}") from failed
        except KeyboardInterrupt:
            raise self._interrupted("interrupted") from None

    def _from_any(self, folder: int) -> DownloadReport:
        wrong: dict[str, str] = {}
        for number, source in enumerate(self._target.sources):
            for attempt in range(self._settings.retries + 1):
                incoming = AtomicFile(folder, self._path.name)
                try:
                    flaw = self._receive(number, source.url, incoming)
                    if not flaw:
                        if self._settings.sync:
                            incoming.sync()
                        incoming.publish(replace=self._force)
                        return self._report(number)
                    wrong[source.url] = flaw
                    break
                except RequestFailed as error:
                    self._errors[number].append(error)
                    if error.failure.lasting or attempt == self._settings.retries:
                        break
                    self._wait(max(_PAUSE * 2**attempt, error.retry_after or 0.0))
                finally:
                    incoming.discard()
        failed = {
            s.url: e[-1].what for s, e in zip(self._target.sources, self._errors, strict=True) if e
        }
        if wrong:
            raise WrongFile(
                f"{self._path.name}: no source has the requested file "
                f"({next(iter(wrong.values()))}); nothing was kept",
                {**failed, **wrong},
            )
        reasons = list(failed.values())
        raise NotEnoughSourcesError(
            f"{self._path.name}: the download failed: {reasons[0]}",
            details=tuple(reasons[1:]),
            missing=tuple(failed),
            help="if the server reports no size, give the checksum (--sha256 HEX); otherwise run "
            "the same command again",
        )

    def _receive(self, number: int, url: str, incoming: AtomicFile) -> str:
        """Receive the file; what is wrong with it, empty: nothing. Raises RequestFailed."""
        hashers = [new_hasher(c.algorithm) for c in self._target.checksums]
        connection = HttpConnection(self._options)
        buffer = memoryview(
            bytearray(_STEP if self._limiter is None else self._limiter.gulp(_STEP))
        )
        self._received[number] = 0
        told = 0.0
        try:
            certain = connection.whole(url, verified=bool(hashers))
            if not certain and not hashers:
                raise RequestFailed(
                    Failure.BAD_RESPONSE,
                    f"{url}: the server reports neither the size nor the end of the file",
                )
            while (count := self._read(connection, buffer)) is not None:
                incoming.write(buffer[:count])
                for hasher in hashers:
                    hasher.update(buffer[:count])
                self._received[number] += count
                if time.monotonic() - told >= _TELL_SECONDS:
                    told = time.monotonic()
                    self._tell(number)
        finally:
            connection.close()
        for must, hasher in zip(self._target.checksums, hashers, strict=True):
            if must.digest != hasher.digest():
                have = hasher.digest().hex()
                return f"{must.algorithm} is {have}, must be {must.digest.hex()}"
        return ""

    def _read(self, connection: HttpConnection, buffer: memoryview) -> int | None:
        if self._stopped():
            raise self._interrupted("stopped")
        if self._limiter is None:
            return connection.read(buffer)
        ended = False

        def receive(into: memoryview) -> int:
            nonlocal ended
            count = connection.read(into)
            ended = count is None
            return count or 0

        count = self._limiter.receive(receive, buffer, self._stopped)
        return None if ended else count

    def _stopped(self) -> bool:
        return self._stop is not None and self._stop.is_set()

    def _wait(self, seconds: float) -> None:
        (self._stop or threading.Event()).wait(seconds)
        if self._stopped():
            raise self._interrupted("stopped")

    @staticmethod
    def _interrupted(how: str) -> InterruptedDownload:
        return InterruptedDownload(
            f"{how}: this download cannot be resumed, and nothing was kept",
            help=f"{GOES_ON} anew",
        )

    # -- telling --------------------------------------------------------------------------

    def _tell(self, number: int) -> None:
        if self._on_progress is None:
            return
        now, done = time.monotonic(), self._received[number]
        rate = self._meter.read(now, sum(self._received))
        self._on_progress(
            Progress(
                phase="downloading",
                name=self._path.name,
                size=done,
                done=done,
                rate=rate,
                eta=None,
                seconds=now - self._began,
                sources=tuple(
                    SourceProgress(
                        url=source.url,
                        state="active" if at == number else "idle",
                        received=self._received[at],
                        rate=rate if at == number else 0.0,
                        connections=int(at == number),
                        errors=len(self._errors[at]),
                    )
                    for at, source in enumerate(self._target.sources)
                ),
                retries=self._settings.retries,
                notes=self._target.notes,
            )
        )

    def _report(self, right: int) -> DownloadReport:
        seconds = max(time.monotonic() - self._began, 1e-9)
        size = self._received[right]
        return DownloadReport(
            path=str(self._path),
            name=self._target.name,
            size=size,
            digest="",
            verified=bool(self._target.verified_by),
            verified_by=self._target.verified_by,
            resumed=0,
            received=sum(self._received),
            seconds=seconds,
            rate=size / seconds,
            sources=tuple(
                SourceReport(
                    url=source.url,
                    received=self._received[at],
                    useful=size if at == right else 0,
                    share=float(at == right),
                    rate=self._received[at] / seconds,
                    errors=len(self._errors[at]),
                    corrupt=0,
                    kinds=_kinds(self._errors[at]),
                    last_error=self._errors[at][-1].what if self._errors[at] else "",
                    state="idle" if at == right or not self._errors[at] else "failed",
                )
                for at, source in enumerate(self._target.sources)
            ),
            notes=self._target.notes,
        )


def _kinds(errors: Sequence[RequestFailed]) -> dict[str, int]:
    kinds: dict[str, int] = {}
    for error in errors:
        kinds[error.failure.value] = kinds.get(error.failure.value, 0) + 1
    return kinds
