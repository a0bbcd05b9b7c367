"""From a job to targets: its source may be a manifest, a metalink, or the file itself.

The content decides, not the name: the start of what is there is looked at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from regather.checksum import Checksum, agree, strongest
from regather.errors import (
    ManifestError,
    NotEnoughSourcesError,
    TransportError,
    UsageError,
    VerificationError,
)
from regather.metalink import (
    MAX_METALINK_BYTES,
    Metalink,
    MetalinkFile,
    Mirror,
    links,
    looks_like_metalink,
    read_metalink,
)
from regather.names import MANIFEST_SUFFIX, split_url
from regather.sources.addresses import check_scheme, checked_url, is_base, with_scheme
from regather.sources.jobs import DownloadJob
from regather.sources.manifests import DownloadTarget, resolve_fragments, resolve_manifest
from regather.sources.mirror_survey import MirrorInfo, checked_mirrors, survey
from regather.sources.mirrors import name_of, resolve_mirrors
from regather.sources.probing import Prober
from regather.sources.whole_file import pieces_identity, source_at, usable_pieces, whole_layout
from regather.transport import RequestFailed, is_served, is_url

_FORMAT = re.compile(rb'"format"\s*:\s*"regather"')
_START = 4 << 10
_MAX_DESCRIPTION = 16 << 20
"""Bytes of a metalink that nobody asked for."""
_FIRST = 8
"""So many mirrors of a metalink are used at first, the best ones; the others where those fail."""
_MOST_ASKED = 16
"""So many mirrors are asked where a metalink tells too little to verify the pieces."""


def expand_job(job: DownloadJob, asking: Prober, select: Sequence[str] = ()) -> list[DownloadJob]:
    """The jobs that a job means: one for each file of a metalink, else itself.

    ``select`` names those of its files that are wanted. Raises what a metalink is refused for,
    and InterruptedDownload.
    """
    if job.file is not None:
        return [job]
    if len(job.sources) != 1 or job.needs_manifest:
        return _no_metalink(job, select)
    source = with_scheme(job.sources[0])
    check_scheme(source)
    if not is_url(source):
        metalink = _local_metalink(source)
        if metalink is None:
            return _no_metalink(job, select)
        return _jobs_of(job, metalink, select)
    path = urlsplit(source).path if checked_url(source) else ""
    asking.check(source)
    if path.endswith(MANIFEST_SUFFIX) or is_base(source):
        return _no_metalink(job, select)
    seen, failed = survey([source], asking)
    if not seen:
        raise NotEnoughSourcesError(
            f"{source}: not available: {failed[source].what}",
            missing=(source,),
            help="check the address and the server, then run the same command again",
        )
    if looks_like_metalink(seen[0].look.start):
        try:
            data, _ = asking.one(source, lambda c, url: c.fetch(url, MAX_METALINK_BYTES))
        except RequestFailed as error:
            raise TransportError(
                f"cannot get the metalink: {error.what}",
                help="check the URL and the server, then run the same command again",
                missing=(source,),
            ) from None
        return _jobs_of(job, read_metalink(data, source), select)
    return _no_metalink(replace(job, seen=tuple(seen)), select)


def _no_metalink(job: DownloadJob, select: Sequence[str]) -> list[DownloadJob]:
    """It may still be a folder's manifest: ``resolve_targets`` sees if there is what to choose."""
    return [replace(job, select=tuple(select))]


def _local_metalink(path: str) -> Metalink | None:
    """The metalink in a file; None where it is none, or not to be read: that is told later."""
    try:
        if not Path(path).is_file():
            return None
        with Path(path).open("rb") as file:
            data = file.read(_START)
            if not looks_like_metalink(data):
                return None
            data += file.read(MAX_METALINK_BYTES)
    except (OSError, ValueError):
        return None
    return read_metalink(data, path)


def _jobs_of(job: DownloadJob, metalink: Metalink, select: Sequence[str]) -> list[DownloadJob]:
    files = metalink.files
    if select:
        by_name = {file.name: file for file in files}
        unknown = [name for name in select if name not in by_name]
        if unknown:
            raise UsageError(
                f"the metalink has no file {unknown[0]!r}",
                help=f"it has {', '.join(list(by_name)[:10])}",
            )
        files = tuple(by_name[name] for name in dict.fromkeys(select))
    if len(files) > 1 and job.dest is not None and not os.path.isdir(job.dest):
        raise UsageError(
            f"{job.dest}: not a folder, and the metalink has {len(files)} files",
            help="give a folder, or choose one file with --select NAME",
        )
    if job.checksums and len(files) > 1:
        raise UsageError(
            f"a checksum applies to one file, but the metalink has {len(files)}",
            help="choose one with --select NAME",
        )
    # What is left out of the document is told once, with the first file of those that are wanted.
    files = (replace(files[0], notes=(*metalink.notes, *files[0].notes)), *files[1:])
    return [replace(job, file=file) for file in files]


def resolve_targets(job: DownloadJob, asking: Prober) -> list[DownloadTarget]:
    """What to download from where: first the likeliest, others for where it proves wrong.

    Raises UsageError, ManifestError, VerificationError, NotEnoughSourcesError, TransportError or
    InterruptedDownload.
    """
    targets = _targets_of(job, asking)
    if job.select and targets[0].folder is None:
        raise UsageError("--select works with metalinks and folders, and this is neither")
    return targets


def _targets_of(job: DownloadJob, asking: Prober) -> list[DownloadTarget]:
    if not job.sources:
        return [_with(resolve_fragments(job.fragments, asking), job.checksums)]
    if job.file is not None:
        return _targets_of_metalink(job, job.file, asking)
    if job.seen:
        if not _is_manifest(job.seen[0].look.start):
            urls = [one.url for one in job.seen]
            return _targets_of_seen(job, urls, asking, list(job.seen), {})
    elif len(job.sources) > 1:
        return _targets_of_mirrors(job, asking)
    target = resolve_manifest(job.sources[0], job.servers, asking, job.digest, job.fragments)
    return [_with(target, job.checksums)]


def _with(target: DownloadTarget, checksums: Sequence[Checksum]) -> DownloadTarget:
    """The target, held against checksums of the whole file too."""
    if not checksums:
        return target
    if target.folder is not None:
        raise UsageError(
            f"{target.name}: is a folder, and a checksum applies to one file",
            help="use --digest for a folder; its manifest has the BLAKE3 of every file",
        )
    notes = target.notes if target.digest else ()  # a checksum verifies what had no hashes
    # It also tells whether all came of one version; tags may differ from node to node.
    sources = tuple(replace(source, validators={}) for source in target.sources)
    return replace(target, sources=sources, checksums=tuple(checksums), notes=notes)


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
