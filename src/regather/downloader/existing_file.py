"""A file that stands under the final name already: the very one to get, or another."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from regather.checksum import Checksum
from regather.digest import new_hasher
from regather.downloader.progress import ProgressReporter
from regather.downloader.report import DownloadReport
from regather.errors import DestinationExistsError, StorageError, reason
from regather.files.platform import read_all
from regather.model import Layout
from regather.sources.download_target import DownloadTarget
from regather.sources.probing import GOES_ON
from regather.store.pieces import matching
from regather.units import counted

_STEP = 1 << 20
_Watch = Callable[[int], None]
"""Is told how many bytes were looked at now."""
_FORCE = "use --force to replace it, or choose another name with -o"


def kept(target: DownloadTarget, path: Path, reporter: ProgressReporter | None) -> DownloadReport:
    """The report on a regular file at ``path`` that is right, and is left as it is.

    Raises DestinationExistsError where it is another one or nothing tells, StorageError where it
    cannot be read, and InterruptedDownload.
    """
    looked_at = 0

    def watch(size: int) -> None:
        nonlocal looked_at
        looked_at += size
        if reporter is not None:
            reporter.look_for_stop("stopped before the download began", GOES_ON)
            reporter.tell("checking", looked_at, looked_at)

    began = time.monotonic()
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _check(target, path, descriptor, watch)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(
            f"{path}: already exists, and cannot be read: {reason(error).lower()}",
            help=_FORCE,
        ) from None
    return DownloadReport(
        path=str(path),
        name=target.name,
        size=os.path.getsize(path),
        digest=target.digest,
        verified=bool(target.verified_by),
        verified_by=target.verified_by,
        signed_by=target.signed_by,
        resumed=os.path.getsize(path),
        received=0,
        seconds=time.monotonic() - began,
        rate=0.0,
        notes=target.notes,
        kept=True,
    )


def _check(target: DownloadTarget, path: Path, descriptor: int, watch: _Watch) -> None:
    """Raise DestinationExistsError unless the open file is right."""
    layout = target.layout
    actual = os.fstat(descriptor).st_size
    told = not target.streamed
    if told and actual != layout.size and (target.hashed or not target.checksums):
        raise _refusal(
            path,
            f"already exists with {counted(actual, 'byte')}, the download has {layout.size}: the "
            "existing file is kept",
        )
    if target.hashed and not _pieces_right(layout, descriptor, watch):
        raise _refusal(path, "is a different file, and is kept")
    for must, have in zip(
        target.checksums, _hashed(descriptor, target.checksums, watch), strict=True
    ):
        if must.digest != have:
            raise _refusal(path, f"has a different {must.algorithm}, and is kept")
    if not target.hashed and not target.checksums:
        alike = ", with the same size as the download" if told else ""
        error = _refusal(
            path,
            f"already exists{alike}, but cannot be verified: it is kept",
        )
        error.unsure = True
        raise error


def _refusal(path: Path, what: str) -> DestinationExistsError:
    error = DestinationExistsError(f"{path}: {what}", help=_FORCE)
    error.path = str(path)
    return error


def _pieces_right(layout: Layout, descriptor: int, watch: _Watch) -> bool:
    def read(offset: int, into: memoryview) -> None:
        read_all(descriptor, into, offset)

    for number, right in matching(layout, range(layout.data_pieces), read):
        if not right:
            return False
        watch(layout.length_of(number))
    return True


def _hashed(descriptor: int, checksums: tuple[Checksum, ...], watch: _Watch) -> list[bytes]:
    """What the whole file hashes to by the algorithm of each checksum."""
    hashers = [new_hasher(c.algorithm) for c in checksums]
    buffer = memoryview(bytearray(_STEP))
    at = 0
    while hashers and (count := os.preadv(descriptor, [buffer], at)):
        for hasher in hashers:
            hasher.update(buffer[:count])
        at += count
        watch(count)
    return [hasher.digest() for hasher in hashers]
