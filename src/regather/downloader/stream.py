"""A file in one go: for servers that do not tell its size, or whose file changes all the time.

Nothing is known of such a file before it is there: no pieces, no second source, no resumption. One
answer is received from its first byte to its end, under a temporary name; a checksum decides, and
without one the end of the answer must be told by the server.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from regather.digest import new_hasher
from regather.downloader.progress import ProgressReporter
from regather.downloader.report import DownloadReport
from regather.downloader.run_context import RunContext
from regather.downloader.wrong_file import WrongFile
from regather.errors import (
    DestinationExistsError,
    InterruptedDownload,
    NotEnoughSourcesError,
    StorageError,
)
from regather.files.atomic import AtomicFile, remove_leftovers
from regather.sources.download_target import DownloadTarget
from regather.sources.probing import GOES_ON
from regather.store import check_destination
from regather.transport import Failure, HttpConnection, RequestFailed

_STEP = 1 << 20
_TELL_SECONDS = 0.1
_PAUSE = 0.3


class Stream:
    """The download of a target in one go."""

    def __init__(
        self, target: DownloadTarget, path: Path, context: RunContext, *, force: bool
    ) -> None:
        self._target = target
        self._path = path
        self._context = context
        self._force = force
        self._reporter = ProgressReporter(target, context, path.name)
        for source in target.sources:
            self._reporter.add(source)

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
        tallies = self._reporter.tallies
        settings = self._context.settings
        for number, tally in enumerate(tallies):
            for attempt in range(settings.retries + 1):
                incoming = AtomicFile(folder, self._path.name)
                try:
                    size, flaw = self._receive(number, incoming)
                    if not flaw:
                        if settings.sync:
                            incoming.sync()
                        incoming.publish(replace=self._force)
                        tally.useful, self._reporter.active = size, -1
                        return self._reporter.report(str(self._path), fetched=size)
                    wrong[tally.url] = flaw
                    break
                except RequestFailed as error:
                    tally.note(error)
                    if error.failure.lasting or attempt == settings.retries:
                        break
                    self._wait(max(_PAUSE * 2**attempt, error.retry_after or 0.0))
                finally:
                    incoming.discard()
        failed = {tally.url: tally.last_error for tally in tallies if tally.errors}
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

    def _receive(self, number: int, incoming: AtomicFile) -> tuple[int, str]:
        """Receive the file; its size, and what is wrong with it. Raises RequestFailed."""
        tally = self._reporter.tallies[number]
        self._reporter.active = number
        hashers = [new_hasher(c.algorithm) for c in self._target.checksums]
        connection = HttpConnection(self._context.options)
        limiter = self._context.limiter
        buffer = memoryview(bytearray(_STEP if limiter is None else limiter.gulp(_STEP)))
        size, told = 0, 0.0
        try:
            certain = connection.whole(tally.url, verified=bool(hashers))
            if not certain and not hashers:
                raise RequestFailed(
                    Failure.BAD_RESPONSE,
                    f"{tally.url}: the server reports neither the size nor the end of the file",
                )
            while (count := self._read(connection, buffer)) is not None:
                incoming.write(buffer[:count])
                for hasher in hashers:
                    hasher.update(buffer[:count])
                size += count
                tally.received += count
                if time.monotonic() - told >= _TELL_SECONDS:
                    told = time.monotonic()
                    self._reporter.tell("downloading", size, tally.received)
        finally:
            connection.close()
        for must, hasher in zip(self._target.checksums, hashers, strict=True):
            if must.digest != hasher.digest():
                have = hasher.digest().hex()
                return size, f"{must.algorithm} is {have}, must be {must.digest.hex()}"
        return size, ""

    def _read(self, connection: HttpConnection, buffer: memoryview) -> int | None:
        if self._context.stopped:
            raise self._interrupted("stopped")
        if self._context.limiter is None:
            return connection.read(buffer)
        ended = False

        def receive(into: memoryview) -> int:
            nonlocal ended
            count = connection.read(into)
            ended = count is None
            return count or 0

        count = self._context.limiter.receive(receive, buffer, lambda: self._context.stopped)
        return None if ended else count

    def _wait(self, seconds: float) -> None:
        (self._context.stop or threading.Event()).wait(seconds)
        if self._context.stopped:
            raise self._interrupted("stopped")

    @staticmethod
    def _interrupted(how: str) -> InterruptedDownload:
        return InterruptedDownload(
            f"{how}: this download cannot be resumed, and nothing was kept",
            help=f"{GOES_ON} anew",
        )
