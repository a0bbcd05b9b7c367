"""From what the user names - a manifest, servers, fragments - to a layout and its sources."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

from msgspec.structs import replace

from regather.errors import (
    ManifestError,
    NotEnoughSourcesError,
    TransportError,
    UsageError,
    VerificationError,
    reason,
)
from regather.manifest import MAX_MANIFEST_BYTES, Manifest
from regather.model import FragmentPosition, Layout, ManifestSource, Source
from regather.names import MANIFEST_SUFFIX
from regather.sources.addresses import (
    MANIFEST_FORMS,
    Address,
    address_of,
    base_url,
    check_looks,
    local_folders,
    server_not_manifest,
)
from regather.sources.download_target import DownloadTarget
from regather.sources.probing import Prober
from regather.transport import Look, RequestFailed, is_url

_PIPES = ("/dev/stdin", "/dev/fd/")
"""Paths that a user who pipes a manifest names: no other pipe is waited for."""


def load_manifest(
    address: Address, asking: Prober, look: Look | None = None
) -> tuple[Manifest, str]:
    """Read a manifest from a path or URL; returns it and the base of its folder.

    What of it came with a first ``look`` is not fetched again.

    Raises UsageError, ManifestError, TransportError or InterruptedDownload.
    """
    source = address.text
    if address.remote:
        asking.check(source)
        try:
            data, where = asking.document(source, MAX_MANIFEST_BYTES, look)
        except RequestFailed as error:
            if error.status is not None and error.failure.lasting and address.is_base:
                raise server_not_manifest(address) from None
            what = f"cannot get the manifest: {error.what}"
            if error.what.endswith(f"larger than {MAX_MANIFEST_BYTES} bytes"):
                raise ManifestError(
                    what,
                    help="--digest is the digest of a manifest; for the file itself use --sha256 "
                    "or --checksum",
                ) from None
            raise TransportError(
                what,
                help="check the URL and the server, then run the same command again; every server "
                "of the file has this manifest: give the URL of another one as well",
                missing=(source,),
            ) from None
        check_looks(address, data)
        return Manifest.from_bytes(data, source), _folder_of(where)
    path = Path(source)
    try:
        piped = source.startswith(_PIPES)
        if not piped and path.exists() and not path.is_file() and not path.is_dir():
            raise UsageError(f"{source}: not a regular file", help="name a manifest")
        with path.open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
    except OSError as error:
        raise UsageError(
            f"{source}: {reason(error).lower()}",
            help=_help_for(path),
        ) from None
    check_looks(address, data)
    return Manifest.from_bytes(data, source), str(path.parent)


def _folder_of(url: str) -> str:
    """The base of the folder that a URL's file is in."""
    return re.split("[?#]", url, maxsplit=1)[0].rpartition("/")[0] + "/"


def folder_of(address: Address) -> str:
    """The folder that a manifest is in, as a source: its base URL or its path."""
    return _folder_of(address.text) if address.remote else str(Path(address.text).parent)


def _help_for(path: Path) -> str:
    """What to name instead of something that cannot be read: often it is the folder that was."""
    try:
        found = next((p for p in sorted(path.iterdir()) if p.name.endswith(MANIFEST_SUFFIX)), None)
    except OSError:
        found = None
    return f"give the manifest in it: {found}" if found else MANIFEST_FORMS


def resolve_manifest(
    source: Address,
    servers: Sequence[str],
    asking: Prober,
    digest: str = "",
    fragments: Sequence[str] = (),
    look: Look | None = None,
) -> DownloadTarget:
    """Find out what a manifest describes and where its fragments may be.

    Sources are those of the manifest, ``servers``, and the manifest's own folder; where that is
    local and others are named, it is asked only for what those do not have.
    """
    bases = [base_url(server) for server in servers]
    for url in (*bases, *fragments):
        asking.check(url)
    manifest, folder = load_pinned(source, asking, digest, look)
    target = target_of(source, manifest, sources_of(source, manifest, folder, bases, fragments))
    last = beside(source, folder, target.layout, target.sources)
    if not last:
        return target
    return replace(target, sources=(*target.sources, *last), first=len(target.sources))


def load_pinned(
    source: Address, asking: Prober, digest: str = "", look: Look | None = None
) -> tuple[Manifest, str]:
    """The same as ``load_manifest``; VerificationError where its digest is not ``digest``."""
    manifest, folder = load_manifest(source, asking, look)
    if digest and digest.lower() != manifest.digest:
        raise VerificationError(
            f"{source}: its digest is {manifest.digest}, not the expected one",
            help="do not use it, or ask its publisher for the correct digest; for a SHA-256 of the "
            "file use --sha256",
        )
    return manifest, folder


def target_of(source: Address, manifest: Manifest, sources: tuple[Source, ...]) -> DownloadTarget:
    """What a manifest describes, and where its fragments may be."""
    if not sources:
        raise NotEnoughSourcesError(
            f"{source}: names no source, and its folder contains no fragments",
            help="give the sources of the fragments: --server URL, once for each",
        )
    digest = manifest.digest
    identity = bytes.fromhex(digest)
    return DownloadTarget(
        manifest.name, manifest.layout, sources, identity, digest, folder=manifest.folder
    )


def beside(source: Address, folder: str, layout: Layout, known: Sequence[Source]) -> list[Source]:
    """The folder of a local manifest, as far as it is not among the known sources already."""
    if source.remote:
        return []
    taken = {os.path.realpath(other.url) for other in known if not is_url(other.url)}
    paths = local_folders(folder, layout)
    return [Source(path) for path in paths if os.path.realpath(path) not in taken]


def sources_of(
    source: Address,
    manifest: Manifest,
    folder: str,
    bases: Sequence[str],
    fragments: Sequence[str] = (),
) -> tuple[Source, ...]:
    """Where the fragments of a manifest may be.

    ``source`` is where it is, ``folder`` the base of its folder, ``bases`` what ``base_url``
    made of further servers, ``fragments`` places of single fragments. See resolve_manifest.
    """
    layout = manifest.layout
    sources = {s.url: _by_position(s, layout) for s in manifest.sources}
    for base in bases:
        sources.setdefault(base, Source(base))
    for place in _places(fragments, layout):
        sources.setdefault(place.url, place)
    if fragments:
        pass  # the user says where they are
    elif source.remote:
        sources.setdefault(folder, Source(folder))
    elif not sources:
        for path in local_folders(folder, layout):
            sources.setdefault(path, Source(path))
    return tuple(sources.values())


def _places(fragments: Sequence[str], layout: Layout) -> list[Source]:
    """A source for each of these URLs or paths of single fragments, which their names tell."""
    positions = {f.name: FragmentPosition(p) for p, f in enumerate(layout.fragments)}
    found = []
    for text in fragments:
        address = address_of(text)
        url = address.text
        name = address.path.rpartition("/")[2]
        name = unquote(name) if address.remote else name
        position = positions.get(name)
        if position is None:
            raise UsageError(
                f"{text}: the manifest has no fragment of that name",
                help="give URLs that end in the name of a fragment, for example "
                f"{layout.fragments[0].name}",
            )
        index = layout.fragments[position].index
        found.append(Source(url, frozenset((position,)), objects={index: url}))
    return found


def _by_position(source: ManifestSource, layout: Layout) -> Source:
    """The source with fragments counted as the planner does: by position, from 0."""
    if source.fragments is None:
        return Source(source.url)
    held = (
        FragmentPosition(p) for p, f in enumerate(layout.fragments) if f.index in source.fragments
    )
    return Source(source.url, frozenset(held))
