"""Mirrors of one whole file: made a target of one fragment.

Those that disagree with the others are left out; where there is a checksum, the result decides.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePath
from urllib.parse import unquote, urlsplit

from msgspec.structs import replace

from regather.checksum import Checksum, strongest
from regather.digest import piece_hash
from regather.errors import NotEnoughSourcesError, VerificationError
from regather.metalink.headers import offered_name
from regather.names import fitted, flaw_of
from regather.sources.download_target import DownloadTarget, source_at, whole_layout
from regather.sources.mirror_survey import MirrorInfo, duplicates_of, grouped, left_out, survey
from regather.sources.probing import Prober
from regather.transport import Failure, RequestFailed, SizeUnknown, is_url
from regather.units import counted

_NAMELESS = "download"


def resolve_mirrors(
    urls: Sequence[str],
    asking: Prober,
    checksums: Sequence[Checksum] = (),
    *,
    name: str = "",
    size: int | None = None,
    notes: Sequence[str] = (),
    seen: tuple[list[MirrorInfo], dict[str, RequestFailed]] | None = None,
) -> list[DownloadTarget]:
    """Ask all mirrors of a file; returns what to download from where: first the likeliest.

    There is more than one only where ``checksums`` can tell which is right. ``name`` and ``size``
    are what is known from elsewhere; ``seen`` is what a survey brought already. Raises
    NotEnoughSourcesError, VerificationError where nothing tells which mirror is right, and
    InterruptedDownload.
    """
    found, failed = seen or survey(urls, asking)
    found = _undoubted(found, failed, checksums)
    found, unsized = _sized(found, size)
    if unsized and not found:
        return [_streamed(unsized, checksums, name, notes)]
    failed |= {s.url: SizeUnknown(s.url) for s in unsized}
    if size is not None:
        failed |= {s.url: _wrong_size(s, size) for s in found if s.size != size}
        found = [s for s in found if s.size == size]
    if not found:
        raise _none(urls, failed)
    claimed = [c for one in found for c in one.claims if c.algorithm not in ("md5", "sha1")]
    if checksums or claimed:
        found = _with_duplicates(found, urls, asking)
    groups = grouped(found, checksums)
    if not checksums and len(groups) > 1 and len(groups[0]) == len(groups[1]):
        raise VerificationError(
            "the mirrors have different files, and it is unknown which one is correct",
            help="give its checksum (--sha256 HEX), or use only mirrors that you trust",
            details=tuple(left_out(groups[0], groups)),
        )
    # Whoever fails now may come back, but what it has was not seen: only a checksum can tell.
    waiting = [url for url, error in failed.items() if checksums and not error.failure.lasting]
    gone = [f"{url} is not used: {e.what}" for url, e in failed.items() if url not in waiting]
    return [
        _target(group, waiting, checksums, name, [*notes, *gone, *left_out(group, groups)])
        for group in (groups if checksums else groups[:1])
    ]


def _sized(
    found: Sequence[MirrorInfo], size: int | None
) -> tuple[list[MirrorInfo], list[MirrorInfo]]:
    """Those of which the size is known, by themselves or as ``size``, and the others."""
    if size is not None:
        found = [
            replace(s, look=replace(s.look, size=size)) if s.look.size is None else s for s in found
        ]
    return [s for s in found if s.look.size is not None], [s for s in found if s.look.size is None]


def _with_duplicates(
    found: list[MirrorInfo], urls: Sequence[str], asking: Prober
) -> list[MirrorInfo]:
    """The mirrors, and those that their servers name, as far as these have the same file."""
    more = duplicates_of(found, urls)
    if not more:
        return found
    first = found[0]
    again, _ = survey([first.url, *more], asking, again=False)
    sampled = [replace(first, samples=s.samples) for s in again if s.url == first.url]
    known = [*(sampled or [first]), *found[1:]]
    # What they say of themselves is not believed, and they have no vote: only named servers do.
    others = [replace(s, claims=()) for s in again if s.url != first.url and not s.look.doubt]
    return known + [s for s in others if not any(map(s.differs_from, known))]


def _undoubted(
    found: list[MirrorInfo], failed: dict[str, RequestFailed], checksums: Sequence[Checksum]
) -> list[MirrorInfo]:
    """Those that have the file by what their servers say; the others are added to ``failed``.

    Servers are mistaken, too: a checksum decides where none of them says so.
    """
    sure = [one for one in found if not one.look.doubt]
    if checksums and not sure:
        return found
    kept = []
    for one in found:
        if not one.look.doubt or any(not other.differs_from(one) for other in sure):
            kept.append(one)
        else:
            why = f"{one.url}: {one.look.doubt}"
            failed[one.url] = RequestFailed(Failure.BAD_RESPONSE, why)
    return kept


def _wrong_size(seen: MirrorInfo, size: int) -> RequestFailed:
    return RequestFailed(
        Failure.BAD_RESPONSE, f"{seen.url}: has {counted(seen.size, 'byte')}, must have {size}"
    )


def _none(urls: Sequence[str], failed: dict[str, RequestFailed]) -> NotEnoughSourcesError:
    reasons = [error.what for error in failed.values()]
    what = (
        f"{urls[0]}: not available"
        if len(urls) == 1
        else f"none of {len(urls)} mirrors is available"
    )
    return NotEnoughSourcesError(
        f"{what}: {reasons[0]}",
        details=tuple(reasons[1:]),
        missing=tuple(urls),
        help="check the addresses and the servers, then run the same command again",
    )


def _target(
    group: Sequence[MirrorInfo],
    waiting: Sequence[str],
    checksums: Sequence[Checksum],
    name: str,
    notes: Sequence[str],
) -> DownloadTarget:
    size = group[0].size
    checksums, name, notes = _described(group, checksums, name, notes)
    # A checksum tells whether all came of one version; tags may differ from node to node.
    sources = [source_at(one.url, "" if checksums else one.look.validator) for one in group]
    sources += [source_at(url) for url in waiting]
    version = _version(group, checksums)
    return DownloadTarget(
        name,
        whole_layout(name, size),
        tuple(sources),
        _identity(size, version),
        "",
        checksums=tuple(checksums),
        notes=tuple(notes),
        doubts={one.url: one.look.doubt for one in group if one.look.doubt},
        lasting=bool(version),
    )


def _streamed(
    group: Sequence[MirrorInfo], checksums: Sequence[Checksum], name: str, notes: Sequence[str]
) -> DownloadTarget:
    """A target of mirrors of which none tells the size."""
    checksums, name, notes = _described(group, checksums, name, notes)
    return DownloadTarget(
        name,
        whole_layout(name, 0),
        tuple(source_at(one.url) for one in group),
        _identity(0, ""),
        "",
        checksums=tuple(checksums),
        notes=(
            *notes,
            "the server does not report the size: the download uses one connection and cannot be "
            "resumed",
        ),
        lasting=False,
        streamed=True,
    )


def _described(
    group: Sequence[MirrorInfo], checksums: Sequence[Checksum], name: str, notes: Sequence[str]
) -> tuple[Sequence[Checksum], str, list[str]]:
    """What a target has in common, of whatever size it is: checksums, name, notes."""
    notes = list(notes)
    if not checksums:
        told = strongest(c for one in group for c in one.claims)
        if told is not None:
            checksums = [told]
            notes.append(
                f"no checksum given: the file is verified only by the {told.algorithm} that its "
                "server reports"
            )
        else:
            mixed = "; only samples of the mirrors were compared" if len(group) > 1 else ""
            notes.append(f"no checksum given: the received data is NOT verified{mixed}")
    return checksums, name or name_of(group), notes


def _identity(size: int, version: str) -> bytes:
    """Tells partial downloads of different content apart; without a version each from all."""
    return piece_hash(b"mirrors\0" + repr((size, version or os.urandom(16).hex())).encode())


def _version(group: Sequence[MirrorInfo], checksums: Sequence[Checksum]) -> str:
    """Tells content of the same size apart, whichever mirrors are up this time.

    Without a checksum it is the date that most mirrors tell, which they usually keep alike, else
    the validator of the first. Empty: nobody tells.
    """
    known = strongest(checksums)
    if known is not None:
        return str(known)
    dates = Counter(one.look.date for one in group if one.look.date)
    return dates.most_common(1)[0][0] if dates else group[0].look.validator


def name_of(group: Sequence[MirrorInfo]) -> str:
    """What to call the file: what a server offers, else the last part of its URL's path."""
    for one in group:
        for _, headers in reversed(one.look.heads):
            if name := offered_name(headers):
                return name
    for one in group:
        name = unquote(urlsplit(one.url).path) if is_url(one.url) else one.url
        name = fitted(PurePath(name.replace("\\", "/")).name)
        if not flaw_of(name):
            return name
    return _NAMELESS
