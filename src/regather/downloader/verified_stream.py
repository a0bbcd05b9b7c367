"""A file in order, each piece verified before it is given: for pipes and programs that read on."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Self

from regather.downloader.report import DownloadReport
from regather.errors import UsageError
from regather.sources.download_target import DownloadTarget
from regather.sources.jobs import DownloadJob
from regather.units import format_size

if TYPE_CHECKING:
    from regather.downloader.feeds import SessionFeed, SpoolFeed


class VerifiedStream:
    """The content of a hosted file, as an iterator of bytes. Close it, or use it in ``with``.

    Pieces come in order, and each is verified before it is given. Those behind it are downloaded
    meanwhile. Sources wait for a slow reader.
    """

    def __init__(self, target: DownloadTarget, feed: SessionFeed | SpoolFeed) -> None:
        self.name = target.name
        """The file's own name; that of a folder without ``.tar``."""
        self.size = target.layout.size
        """Bytes in all."""
        self.digest = target.digest
        """Its identity, as ``regather info`` prints it."""
        self.given = 0
        """Bytes so far."""
        self._feed = feed
        self._ready: deque[memoryview] = deque()
        self._views = self._pieces()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return bytes(next(self._views))

    def views(self) -> Iterator[memoryview]:
        """The same pieces without a copy: each is right until the next one is asked for."""
        return self._views

    def runs(self) -> Iterator[list[memoryview]]:
        """The same, all pieces that are there in one list: right until the next is asked for."""
        for piece in self._views:
            yield [piece, *(next(self._views) for _ in range(len(self._ready)))]

    def _pieces(self) -> Iterator[memoryview]:
        for run in self._feed.runs():
            self._ready.extend(run)
            while self._ready:
                piece = self._ready.popleft().toreadonly()
                self.given += len(piece)
                yield piece

    def close(self) -> None:
        """End all connections and threads. Nothing more is given."""
        self._feed.close()

    def report(self) -> DownloadReport:
        """Return the contribution of each source."""
        return self._feed.report()


def is_verified_by_piece(target: DownloadTarget) -> bool:
    """Whether each piece is known to be right before the whole file is there.

    A checksum of the user's counts more than hashes in a document that it may prove wrong.
    """
    return target.hashed and all(checksum.origin for checksum in target.checksums)


def check_streamable(job: DownloadJob, target: DownloadTarget, spool: int) -> None:
    """Raise UsageError where nothing verified can be given."""
    if target.folder is not None and (job.select or job.exclude):
        raise UsageError(
            f"{target.name}: a folder is streamed as a whole, as the tar that it is packed in",
            help="leave out --select and --exclude, or name a folder with -o",
        )
    if is_verified_by_piece(target):
        return
    if target.streamed:
        raise UsageError(
            f"{target.name}: its server does not report its size",
            help="name a file with -o",
        )
    if not target.verified_by:
        raise UsageError(
            f"{target.name}: there is no hash to verify it with",
            help="give its checksum (--sha256 HEX) and --spool, name a file with -o, or use a "
            "manifest, which has a hash of each piece",
        )
    if spool < target.layout.size:
        pinned = ", or use --digest instead of the checksum" if target.digest else ""
        raise UsageError(
            f"{target.name}: a checksum of the whole file verifies nothing before its end",
            help=f"give --spool {format_size(target.layout.size).replace(' ', '')} or more to "
            f"receive the file whole first{pinned}, or name a file with -o",
        )
