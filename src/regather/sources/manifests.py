"""From what the user names - a manifest, servers, fragments - to a layout and its sources."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct
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
    base_urls,
    check_looks,
    local_folders,
    server_not_manifest,
)
from regather.sources.download_target import DownloadTarget
from regather.sources.probing import Prober
from regather.transport import Look, RequestFailed, is_url

if TYPE_CHECKING:
    from regather.sources.signed import Signed

_PAIRS = 2
"""How often a manifest and its signature are read that do not belong together."""
_PIPES = ("/dev/stdin", "/dev/fd/")
"""Paths that a user who pipes a manifest names: no other pipe is waited for."""


class LoadedManifest(Struct, frozen=True):
    """A manifest, and how it was found."""

    manifest: Manifest
    folder: str
    """The base of its folder."""
    data: bytes
    """The document, as it stands there."""
    signed: Signed | None = None
    """Its signature, where one was asked for."""


def load_manifest(
    address: Address,
    asking: Prober,
    digest: str = "",
    look: Look | None = None,
    *,
    pinned: bool = False,
) -> LoadedManifest:
    """Read a manifest from a path or URL, and hold it against the trusted keys and ``digest``.

    What of it came with a first ``look`` is not fetched again. ``pinned``: what it describes is
    held against something else that the user named.

    Raises UsageError, ManifestError, VerificationError, TransportError or InterruptedDownload.
    """
    loaded = _signed(address, asking, look) if asking.trust else _loaded(address, asking, look)
    found = loaded.manifest.digest
    if digest and digest.lower() != found:
        raise VerificationError(
            f"{address}: its digest is {found}, not the expected one",
            help="do not use it, or ask its publisher for the correct digest; for a SHA-256 of the "
            "file use --sha256",
        )
    vouched = bool(digest or pinned or loaded.signed)
    if asking.trust and asking.trust.required and address.remote and not vouched:
        raise VerificationError(
            f"{address}: {UNPINNED}, and --require-trust is set",
            help="give --digest HEX or --trust PUBKEY",
        )
    return loaded


UNPINNED = "no key and no digest confirms the manifest"


def _signed(address: Address, asking: Prober, look: Look | None) -> LoadedManifest:
    """The manifest, where rules say which keys are trusted for it. Raises VerificationError too."""
    from regather.sources.signed import accept_signed, check_signer, checked, signature_at

    rules = asking.trust
    assert rules is not None
    keys = rules.keys_for(address)
    for attempt in range(_PAIRS):
        # The signature comes first: nothing is read of what has none.
        signature = signature_at(address, asking) if keys else b""
        data, folder = _document(address, asking, look)
        if not keys:
            loaded = _parsed(address, data, folder)
            keys = rules.keys_for(address, loaded.manifest.name)
            if not keys:
                return loaded
            signature = signature_at(address, asking)
        try:
            signed = checked(address, data, signature, keys)
            break
        except VerificationError:
            if attempt == _PAIRS - 1:
                raise
            look = None  # both may be changing now: once more, all of it anew
    loaded = replace(_parsed(address, data, folder), signed=signed)
    # The address has less than the name where that is long, and patterns may tell the two apart.
    check_signer(address, signed, rules.keys_for(address, loaded.manifest.name))
    accept_signed(address, loaded.manifest, signed, rules)
    return loaded


def _loaded(address: Address, asking: Prober, look: Look | None) -> LoadedManifest:
    return _parsed(address, *_document(address, asking, look))


def _parsed(address: Address, data: bytes, folder: str) -> LoadedManifest:
    check_looks(address, data)
    return LoadedManifest(Manifest.from_bytes(data, address.text), folder, data)


def _document(address: Address, asking: Prober, look: Look | None) -> tuple[bytes, str]:
    """What stands at the address of a manifest, and the base of its folder."""
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
        return data, _folder_of(where)
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
    return data, str(path.parent)


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
    *,
    pinned: bool = False,
) -> DownloadTarget:
    """Find out what a manifest describes and where its fragments may be.

    Sources are those of the manifest, ``servers``, and the manifest's own folder; where that is
    local and others are named, it is asked only for what those do not have.
    """
    bases = base_urls(servers)
    for url in (*bases, *fragments):
        asking.check(url)
    loaded = load_manifest(source, asking, digest, look, pinned=pinned)
    target = target_of(source, loaded, sources_of(source, loaded, bases, fragments))
    last = beside(source, loaded.folder, target.layout, target.sources)
    if not last:
        return target
    return replace(target, sources=(*target.sources, *last), first=len(target.sources))


def target_of(
    source: Address, loaded: LoadedManifest, sources: tuple[Source, ...]
) -> DownloadTarget:
    """What a manifest describes, and where its fragments may be."""
    manifest = loaded.manifest
    if not sources:
        raise NotEnoughSourcesError(
            f"{source}: names no source, and its folder contains no fragments",
            help="give the sources of the fragments: --server URL, once for each",
        )
    digest = manifest.digest
    identity = bytes.fromhex(digest)
    return DownloadTarget(
        manifest.name,
        manifest.layout,
        sources,
        identity,
        digest,
        folder=manifest.folder,
        signed_by=loaded.signed.by.name if loaded.signed else "",
    )


def beside(source: Address, folder: str, layout: Layout, known: Sequence[Source]) -> list[Source]:
    """The folder of a local manifest, as far as it is not among the known sources already."""
    if source.remote:
        return []
    taken = {os.path.realpath(other.url) for other in known if not is_url(other.url)}
    paths = local_folders(folder, layout)
    return [Source(path) for path in paths if os.path.realpath(path) not in taken]


def sources_of(
    source: Address, loaded: LoadedManifest, bases: Sequence[str], fragments: Sequence[str] = ()
) -> tuple[Source, ...]:
    """Where the fragments of a manifest may be.

    ``source`` is where it is, ``bases`` what ``base_url`` made of further servers, ``fragments``
    places of single fragments. See resolve_manifest.
    """
    manifest, folder = loaded.manifest, loaded.folder
    layout = manifest.layout
    if source.remote and folder.endswith(f"/d/{manifest.digest}/"):
        # A gateway hands a signed manifest on as it is. It has all data itself, and no parity.
        own = Source(folder, frozenset(FragmentPosition(p) for p in range(layout.data_count)))
        return own, *(Source(base) for base in bases if base != folder)
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
        position = positions.get(address.name)
        if position is None:
            raise UsageError(
                f"{text}: the manifest has no fragment of that name",
                help="give URLs that end in the name of a fragment, for example "
                f"{layout.fragments[0].name}",
            )
        index = layout.fragments[position].index
        found.append(Source(address.text, frozenset((position,)), objects={index: address.text}))
    return found


def _by_position(source: ManifestSource, layout: Layout) -> Source:
    """The source with fragments counted as the planner does: by position, from 0."""
    if source.fragments is None:
        return Source(source.url)
    held = (
        FragmentPosition(p) for p, f in enumerate(layout.fragments) if f.index in source.fragments
    )
    return Source(source.url, frozenset(held))
