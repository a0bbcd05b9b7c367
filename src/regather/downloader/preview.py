"""What a download would do; nothing is changed."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from regather.downloader.existing_file import kept
from regather.downloader.placing import folder_for, path_for, wanted_of
from regather.errors import StorageError
from regather.files.openat import DirHandle
from regather.files.platform import check_space
from regather.folder import STAGING
from regather.names import suffixed
from regather.sources.download_target import DownloadTarget
from regather.sources.jobs import DownloadJob
from regather.store import check_destination, check_place
from regather.store.destination import JOURNAL_SUFFIX
from regather.store.existing import Present
from regather.store.journal import peek
from regather.store.spans import Spans, survey
from regather.tasks import pool
from regather.units import format_size

__all__ = ["Preview", "PreviewSource", "preview_of"]


class PreviewSource(Struct, frozen=True):
    """A source that a download would use."""

    url: str
    fragments: tuple[str, ...] | None
    """The names of the fragments that it is said to have; None: not known before it is asked."""


class Preview(Struct, frozen=True):
    """What a download would do. Sizes in bytes."""

    path: str
    name: str
    size: int | None
    """Of all that is wanted; None where no server tells."""
    present: int
    """Of ``size``, what is there already: of an earlier run, or in files that are right."""
    kept: bool
    """Whether the file is there, whole and right: nothing would be fetched."""
    verified_by: str
    sources: tuple[PreviewSource, ...] = ()
    files: int | None = None
    """How many files of a folder are wanted; None: it is one file."""
    notes: tuple[str, ...] = ()


def preview_of(job: DownloadJob, target: DownloadTarget, into: Path | None = None) -> Preview:
    """What ``job`` would do. ``into`` is a folder that it would make, in place of its ``dest``.

    Raises what the download itself raises before it fetches anything.
    """
    files, there = None, False
    if target.folder is not None:
        path, size, present, files = _of_folder(job, target, into)
    elif into is not None:
        path, size, present = into / target.name, target.layout.size, 0
    else:
        path = path_for(job, target.name, make=False)
        size = target.layout.size
        there = path.parent.exists() and check_place(path) and not job.force
        if there:
            kept(target, path, None)
        present = size if there else _claimed(target, path, job)
    _check_room(path, size - present)
    names = [fragment.name for fragment in target.layout.fragments]
    return Preview(
        str(path),
        target.name,
        None if target.streamed else size,
        present,
        there or (files is not None and size == present),
        target.verified_by,
        tuple(
            PreviewSource(
                source.url,
                None
                if source.fragments is None
                else tuple(names[position] for position in sorted(source.fragments)),
            )
            for source in target.sources
        ),
        files,
        target.notes,
    )


def _claimed(target: DownloadTarget, path: Path, job: DownloadJob) -> int:
    """Bytes that a partial of the same download has. Raises what its destination would."""
    if not path.parent.exists():
        return 0
    check_destination(path, force=job.force)
    journal = path.with_name(suffixed(path.name, JOURNAL_SUFFIX))
    return _size_of(target, peek(str(journal), target.layout, target.identity))


def _size_of(target: DownloadTarget, pieces: set[int]) -> int:
    layout = target.layout
    return sum(layout.length(*layout.locate(n)) for n in pieces if n < layout.data_pieces)


def _of_folder(
    job: DownloadJob, target: DownloadTarget, into: Path | None
) -> tuple[Path, int, int, int]:
    """Path, bytes wanted, bytes there, and the number of files that are wanted."""
    folder = target.folder
    assert folder is not None
    wanted = wanted_of(job, folder)
    if wanted is None:
        wanted = frozenset(range(len(folder.entries)))
    path = folder_for(job, target) if into is None else into
    right: set[int] = set()
    claims: set[int] = set()
    if os.path.lexists(path):
        below = DirHandle(str(path))
        try:
            found = Present(path, target.name, below, folder, wanted, force=job.force)
            with pool(os.cpu_count() or 1) as threads:
                found.hash(threads, None)
            right = found.right
        finally:
            below.close()
        claims = peek(str(path / STAGING / "journal"), target.layout, target.identity)
    there, pieces = survey(target.layout, folder, Spans(folder), wanted, right)
    needed = set(pieces)
    files = sum(folder.entries[n].kind == "file" for n in wanted)
    return path, _size_of(target, needed), _size_of(target, (there | claims) & needed), files


def _check_room(path: Path, size: int) -> None:
    """Raise StorageError where the disk has no room for ``size`` bytes."""
    above = next((folder for folder in path.absolute().parents if folder.is_dir()), Path("/"))
    descriptor = os.open(above, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        check_space(descriptor, size)
    except OSError as error:
        raise StorageError(
            f"{path}: not enough space for {format_size(size)} ({(error.strerror or '').lower()})",
            help="free some space or choose another folder with -o, then run the same command "
            "again",
        ) from None
    finally:
        os.close(descriptor)
