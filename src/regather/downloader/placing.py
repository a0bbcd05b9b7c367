"""Where a download goes, and what older versions of it there are."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from regather.errors import RegatherError, UsageError, reason
from regather.folder import Folder, chosen
from regather.names import on_disk
from regather.sources.download_target import DownloadTarget
from regather.sources.jobs import DownloadJob
from regather.store import Destination

if TYPE_CHECKING:
    from regather.store import AnyDestination
    from regather.store.seeds import Seed


def seeds_of(job: DownloadJob, target: DownloadTarget, path: Path | None) -> list[Seed]:
    """The older versions that the job names, or that are to be replaced; ``path`` is of a file."""
    if not target.hashed:
        return []
    place = path if path is not None else folder_for(job, target)
    found: list[Seed] = []
    if job.force and os.path.lexists(place):
        with contextlib.suppress(RegatherError):  # it is replaced, whatever it is
            found.append(_seed(str(place), target))
    try:
        found.extend(_seed(old, target) for old in job.seeds)
    except BaseException:
        for seed in found:
            seed.close()
        raise
    return found


def _seed(path: str, target: DownloadTarget) -> Seed:
    from regather.store.seeds import FileSeed, FolderSeed

    if target.folder is None:
        return FileSeed(path)
    return FolderSeed(path, target.name, target.folder)


def destination_of(job: DownloadJob, target: DownloadTarget, path: Path | None) -> AnyDestination:
    """Open what the job's target is written to; ``path`` is that of a file."""
    layout, identity = target.layout, target.identity
    if path is not None or target.folder is None:
        return Destination(path or Path(), layout, identity, force=job.force)
    from regather.store.folder import FolderDestination

    return FolderDestination(
        folder_for(job, target),
        target.name,
        layout,
        target.folder,
        identity,
        wanted=wanted_of(job, target.folder),
        force=job.force,
    )


def folder_for(job: DownloadJob, target: DownloadTarget) -> Path:
    """Where a published folder goes."""
    # A folder that the user names becomes the one that was published: so that the same command
    # goes on from there when it was made already.
    by_name = job.dest is None or job.into
    path = (job.dest or Path()) / (on_disk(target.name) if by_name else "")
    # The current folder: it is told by its name.
    return path if path.name else path.resolve()


def wanted_of(job: DownloadJob, folder: Folder) -> frozenset[int] | None:
    """The numbers of the entries that are wanted; None: all. Raises UsageError."""
    if not (job.select or job.exclude):
        return None
    try:
        return chosen(folder, job.select, job.exclude)
    except KeyError as error:
        left = " that --exclude does not leave out" if job.exclude else ""
        raise UsageError(
            f"the folder contains no {error.args[0]!r}{left}",
            help="regather info --files lists its content",
        ) from None


def path_for(job: DownloadJob, name: str, *, make: bool = True) -> Path:
    """Where the file goes. With ``make``, makes the folders that its name in a metalink names."""
    if job.dest is not None and not os.path.isdir(job.dest):
        return job.dest
    folder = job.dest or Path()
    *parts, last = map(on_disk, name.split("/"))
    for part in parts:
        folder /= part
        if not make:
            continue
        try:
            folder.mkdir(exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: {reason(error).lower()}") from None
        if folder.is_symlink():
            raise UsageError(
                f"{folder}: is a link, and a name in a metalink must not lead through a link"
            )
    return folder / last
