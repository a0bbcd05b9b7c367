"""Targets of files that are hosted whole: on mirrors that are named, or as a metalink says."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec.structs import replace

from regather.checksum import Checksum, agree, strongest
from regather.errors import ManifestError, NotEnoughSourcesError, UsageError, VerificationError
from regather.metalink.detect import looks_like_metalink
from regather.metalink.headers import links
from regather.metalink.read import read_metalink
from regather.metalink.values import MetalinkFile, Mirror
from regather.names import split_url
from regather.sources.download_target import (
    DownloadTarget,
    pieces_identity,
    source_at,
    usable_pieces,
    whole_layout,
)
from regather.sources.jobs import DownloadJob
from regather.sources.mirror_survey import MirrorInfo, checked_mirrors, survey
from regather.sources.mirrors import name_of, resolve_mirrors
from regather.sources.probing import Prober
from regather.transport import RequestFailed, is_served

__all__ = ["targets_of_whole"]

_FORMAT = re.compile(rb'"format"\s*:\s*"regather"')
_MAX_DESCRIPTION = 16 << 20
"""Bytes of a metalink that nobody asked for."""
_FIRST = 8
"""So many mirrors of a metalink are used at first, the best ones; the others where those fail."""
_MOST_ASKED = 16
"""So many mirrors are asked where a metalink tells too little to verify the pieces."""


def targets_of_whole(job: DownloadJob, asking: Prober) -> list[DownloadTarget] | None:
    """What to download from where; None where the one source turns out to be a manifest.

    Raises as ``resolve_targets`` does.
    """
    if job.file is not None:
        return _targets_of_metalink(job, job.file, asking)
    if not job.seen:
        return _targets_of_mirrors(job, asking)
    if _is_manifest(job.seen[0].look.start):
        return None
    return _targets_of_seen(job, [one.url for one in job.seen], asking, list(job.seen), {})


def _is_manifest(start: bytes) -> bool:
    return start.lstrip(b" \t\r\n").startswith(b"{") and _FORMAT.search(start) is not None


def _targets_of_mirrors(job: DownloadJob, asking: Prober) -> list[DownloadTarget]:
    urls = checked_mirrors(job.sources)
    for url in urls:
        asking.check(url)
    seen, failed = survey(urls, asking)
    for one in seen:
        start = one.look.start
        if _is_manifest(start) or looks_like_metalink(start):
            kind = "a metalink" if looks_like_metalink(start) else "a manifest"
            raise UsageError(
                f"{one.url}: is {kind}: only mirrors of the same file can be given together",
                help="give it alone; for more sources of a manifest use --server",
            )
    return _targets_of_seen(job, urls, asking, seen, failed)


def _targets_of_seen(
    job: DownloadJob,
    urls: Sequence[str],
    asking: Prober,
    seen: list[MirrorInfo],
    failed: dict[str, RequestFailed],
) -> list[DownloadTarget]:
    file = _described(job, seen, asking)
    if file is not None:
        return _targets_of_metalink(job, file, asking)
    return resolve_mirrors(urls, asking, job.checksums, seen=(seen, failed))


def _described(job: DownloadJob, seen: Sequence[MirrorInfo], asking: Prober) -> MetalinkFile | None:
    """What a metalink says that the server of a mirror itself points to (RFC 6249).

    It is as good as one that the user names, so it must come from a host that the user named. None
    where there is none of use: then the mirrors alone have to do.
    """
    for one in seen:
        for where, headers in one.look.heads:
            for url in links(headers, where).metalinks:
                if not _same_origin(url, one.url):
                    continue
                try:
                    data, _ = asking.one(url, lambda c, u: c.fetch(u, _MAX_DESCRIPTION))
                    files = read_metalink(data, url).files
                except (RequestFailed, ManifestError):
                    continue
                name = name_of([one])
                for file in files:
                    if len(files) > 1 and file.name.rpartition("/")[2] != name:
                        continue
                    size = one.size
                    if file.size != size or usable_pieces(file.pieces, size) is None:
                        continue
                    if not agree(file.checksums, (*job.checksums, *one.claims)):
                        continue
                    named = tuple(Mirror(s.url, 0) for s in seen if s.size == size)
                    return replace(file, name=name, mirrors=(*named, *file.mirrors))
    return None


def _same_origin(one: str, other: str) -> bool:
    try:
        return split_url(one)[:2] == split_url(other)[:2]
    except ValueError:
        return False


# -- metalinks --------------------------------------------------------------------------------


def _targets_of_metalink(
    job: DownloadJob, file: MetalinkFile, asking: Prober
) -> list[DownloadTarget]:
    mirrors = sorted(file.mirrors, key=lambda m: (m.location != job.location.lower(), m.priority))
    urls = list(dict.fromkeys(mirror.url for mirror in mirrors))
    # Where nothing else is left, those that need an optional package say so.
    urls = list(filter(is_served, urls)) or urls
    if not urls:
        others = f", only {file.others} of other kinds" if file.others else ""
        raise NotEnoughSourcesError(
            f"{file.name}: the metalink has no usable URL for it{others}",
            help="give mirrors of the file, with its checksum",
            missing=(file.name,),
        )
    checksums = _checksums(job, file)
    notes = file.notes
    if file.signed:
        notes += ("the signature in the metalink is not verified",)
    pieces = usable_pieces(file.pieces, file.size) if file.size is not None else None
    if file.lost and pieces is None and not checksums:
        raise VerificationError(
            f"{file.name}: the metalink has no usable hash for it",
            help="ask its publisher for a correct one, or give the checksum of the file",
            details=file.notes,
        )
    if pieces is None or file.size is None:
        return resolve_mirrors(
            urls[:_MOST_ASKED],
            asking,
            checksums,
            name=file.name,
            size=file.size,
            notes=notes,
        )
    return [
        DownloadTarget(
            file.name,
            whole_layout(file.name, file.size, pieces),
            tuple(source_at(url) for url in urls),
            pieces_identity(file.size, pieces),
            "",
            checksums=checksums,
            notes=notes,
            first=_FIRST,
        )
    ]


def _checksums(job: DownloadJob, file: MetalinkFile) -> tuple[Checksum, ...]:
    """What the file must hash to, by the user and by the metalink. Raises VerificationError."""
    if not agree(file.checksums, job.checksums):
        raise VerificationError(
            f"{file.name}: has another checksum in the metalink than expected",
            help="do not use it, or ask its publisher for the correct checksum",
        )
    best = strongest(file.checksums)
    if best is None or any(best.algorithm == c.algorithm for c in job.checksums):
        return job.checksums
    return (*job.checksums, best)
