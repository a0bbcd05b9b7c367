"""From a job to targets: its source may be a manifest, a metalink, or the file itself.

The content decides, not the name: the start of what is there is looked at once. What only mirrors
and metalinks need is imported where one is met: a download by a manifest starts without it.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from regather.checksum import Checksum
from regather.errors import (
    ManifestError,
    NotEnoughSourcesError,
    RegatherError,
    TransportError,
    UsageError,
    VerificationError,
)
from regather.metalink.detect import MAX_METALINK_BYTES, looks_like_metalink
from regather.names import MANIFEST_SUFFIX
from regather.sources.addresses import Address, address_of
from regather.sources.download_target import DownloadTarget
from regather.sources.jobs import DownloadJob
from regather.sources.manifests import UNPINNED, folder_of, resolve_manifest
from regather.sources.plain_fragments import resolve_fragments
from regather.sources.probing import Prober
from regather.transport import Look, RequestFailed

if TYPE_CHECKING:
    from regather.metalink.values import Metalink

_START = 16 << 10
_GRACE = 0.5
"""Seconds for other copies of a manifest after one has answered."""


def expand_job(job: DownloadJob, asking: Prober) -> list[DownloadJob]:
    """The jobs that a job means: one for each file of a metalink, else itself.

    Its ``select`` and ``exclude`` choose among those files. Raises what a metalink is refused for,
    and InterruptedDownload.
    """
    if job.file is not None:
        return [job]
    if len(job.sources) != 1 or job.needs_manifest:
        return [job]
    address = address_of(job.sources[0])
    job = replace(job, address=address)
    if asking.trust and asking.trust.keys_for(address):
        return [job]  # whatever it is: it is read as a manifest that has to be signed
    if not address.remote:
        metalink = _local_metalink(address.text)
        return [job] if metalink is None else _jobs_of(job, metalink)
    if address.is_base or address.path.endswith(MANIFEST_SUFFIX):
        return [job]
    source = address.text
    asking.check(source)
    from regather.sources.mirror_survey import survey

    seen, failed = survey([source], asking)
    if not seen:
        raise NotEnoughSourcesError(
            f"{source}: not available: {failed[source].what}",
            missing=(source,),
            help="check the address and the server, then run the same command again",
        )
    if looks_like_metalink(seen[0].look.start):
        try:
            data, _ = asking.document(source, MAX_METALINK_BYTES, seen[0].look)
        except RequestFailed as error:
            raise TransportError(
                f"cannot get the metalink: {error.what}",
                help="check the URL and the server, then run the same command again",
                missing=(source,),
            ) from None
        return _jobs_of(job, _read(data, source))
    return [replace(job, seen=tuple(seen))]


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
    return _read(data, path)


def _read(data: bytes, where: str) -> Metalink:
    from regather.metalink.read import read_metalink

    return read_metalink(data, where)


def _jobs_of(job: DownloadJob, metalink: Metalink) -> list[DownloadJob]:
    files = metalink.files
    if job.select:
        by_name = {file.name: file for file in files}
        unknown = [name for name in job.select if name not in by_name]
        if unknown:
            raise UsageError(
                f"the metalink has no file {unknown[0]!r}",
                help=f"it has {', '.join(list(by_name)[:10])}",
            )
        files = tuple(by_name[name] for name in dict.fromkeys(job.select))
    files = tuple(f for f in files if not any(fnmatchcase(f.name, p) for p in job.exclude))
    if not files:
        raise UsageError("no file of the metalink is left", help="leave out fewer with --exclude")
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
    return [replace(job, file=file, select=(), exclude=()) for file in files]


def resolve_targets(job: DownloadJob, asking: Prober) -> list[DownloadTarget]:
    """What to download from where: first the likeliest, others for where it proves wrong.

    Raises UsageError, ManifestError, VerificationError, NotEnoughSourcesError, TransportError or
    InterruptedDownload.
    """
    rules = asking.trust
    if rules is None:
        targets = _targets_of(job, asking)
    else:
        from regather.sources.signed import check_targets, refuse_unsigned

        places = [address_of(text) for text in (*job.sources, *job.fragments)]
        refuse_unsigned(job, rules, places)
        targets = _targets_of(job, asking)
        check_targets(job, rules, places, targets)
    if (job.select or job.exclude) and targets[0].folder is None:
        option = "--select" if job.select else "--exclude"
        raise UsageError(
            f"{option} works with metalinks and folders, and this is neither",
            help=f"omit {option}",
        )
    return targets


def _targets_of(job: DownloadJob, asking: Prober) -> list[DownloadTarget]:
    if not job.sources:
        return [_with(resolve_fragments(job.fragments, asking), job.checksums)]
    if job.copies_of_manifest:
        return [_with(_first_available(job, asking), job.checksums)]
    if job.file is not None or job.seen or len(job.sources) > 1:
        from regather.sources.whole_targets import targets_of_whole

        if (targets := targets_of_whole(job, asking)) is not None:
            return targets
    address = job.address or address_of(job.sources[0])
    look = job.seen[0].look if job.seen else None
    return [_with(_by_manifest(job, address, asking, job.servers, look), job.checksums)]


def _by_manifest(
    job: DownloadJob, address: Address, asking: Prober, servers: Sequence[str], look: Look | None
) -> DownloadTarget:
    """The target of a manifest, with a note if nothing confirms what the network sent."""
    digest, pinned = job.digest, bool(job.checksums)
    target = resolve_manifest(address, servers, asking, digest, job.fragments, look, pinned=pinned)
    if digest or pinned or target.signed_by or not address.remote:
        return target
    note = f"every piece is verified, but {UNPINNED}; to pin it, give --digest {target.digest}"
    return replace(target, notes=(note, *target.notes))


def _first_available(job: DownloadJob, asking: Prober) -> DownloadTarget:
    """The target of the first copy of a manifest that is available and, if pinned, the right one.

    The folders of the other copies are sources as well.
    """
    copies = [address_of(text) for text in job.sources]
    # All are asked at once: a server that is off costs no time beside one that is there.
    remote = [copy.text for copy in copies if copy.remote]
    answers = asking.all(remote, lambda c, url: c.look(url, _START), asking.patience, grace=_GRACE)
    looks = dict(zip(remote, answers, strict=True))
    failed = {url: look.what for url, look in looks.items() if isinstance(look, RequestFailed)}
    wrong: list[RegatherError] = []
    for copy in copies:
        look = looks.get(copy.text)
        if isinstance(look, RequestFailed):
            continue
        others = [folder_of(other) for other in copies if other is not copy]
        servers = (*job.servers, *others)
        try:
            target = _by_manifest(job, copy, asking, servers, look)
        except (TransportError, ManifestError, VerificationError) as error:
            failed[copy.text] = error.what
            wrong += [error] if not isinstance(error, TransportError) else []
        else:
            notes = tuple(
                f"the manifest was read from {copy}, since another one failed: {what}"
                for what in failed.values()
            )
            return replace(target, notes=(*notes, *target.notes))
    if wrong:
        raise wrong[0]
    raise TransportError(
        f"cannot get the manifest from any of its {len(copies)} places",
        details=tuple(failed.values()),
        missing=tuple(copy.text for copy in copies),
        help="check the URLs and the servers, then run the same command again",
    )


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
