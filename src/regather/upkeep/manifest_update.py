"""The manifest after a repair: which source holds what now, told to all who keep a copy."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from regather.errors import (
    ManifestError,
    StorageError,
    VerificationError,
    reason,
    system_errors,
)
from regather.files.atomic import folder_locked, write_file
from regather.manifest import MAX_MANIFEST_BYTES, Manifest
from regather.names import MANIFEST_SUFFIX, signature_name, signature_path, suffixed
from regather.sources.addresses import Address
from regather.sources.manifests import LoadedManifest, folder_of, load_manifest
from regather.sources.probing import Prober
from regather.transport import Failure, RequestFailed, is_url
from regather.transport.stores.retrying import RetryingStore, RetryPolicy
from regather.trust import MAX_SIGNATURE_BYTES
from regather.upkeep.repair_plan import Wants
from regather.upkeep.report import Unwritten
from regather.upkeep.sources import Subject, without

if TYPE_CHECKING:
    from regather.sources.signed import Signed
    from regather.trust.secret_key import SecretKey

_SIGN = "to change it, give the key with --sign-with"


@dataclass(frozen=True, slots=True)
class Announcement:
    """What came of it."""

    written: tuple[str, ...] = ()
    """Where the manifest was written: paths, URLs."""
    unwritten: tuple[Unwritten, ...] = ()
    notes: tuple[str, ...] = ()


def announce(
    wants: Wants,
    moves: dict[tuple[str, int], str],
    restored: Sequence[str],
    store: Callable[[str], RetryingStore],
    policy: RetryPolicy,
    key: SecretKey | None,
) -> Announcement:
    """Write the manifest where it has to change or is missing.

    ``moves`` maps (old source, position) to the new source; at the sources of ``restored`` it is
    written where there is none. Sources that take no writes keep theirs. One that is signed is
    changed only with the ``key`` to sign it anew. Raises ManifestError or VerificationError where
    others changed it meanwhile, or another key has signed it that is not trusted.
    """
    subject, dropped = wants.subject, wants.dropped
    notes: list[str] = []
    telling = _telling(subject, moves, notes)
    changing = bool(subject.manifest.sources) and (bool(telling) or bool(dropped))
    where, home = subject.where.text, folder_of(subject.where)
    near = [
        s.url for s in subject.sources if s.url not in wants.gone and (changing or s.url == home)
    ]
    copied = key is None if changing else bool(restored)
    signature = _signature_beside(subject, store, near) if copied else None
    written: list[str] = []
    unwritten: list[Unwritten] = []
    if changing and signature is not None:
        kept = f"the manifest is signed and keeps its sources: {_SIGN}"
        if moves:  # which readers do not find
            unwritten.append(Unwritten(where, "", kept))
        else:
            notes.append(kept)
        changing = False
    manifest, data = subject.manifest, subject.loaded.data
    if changing:
        with _alone(subject.where):
            # Read anew: another repair may have come first.
            loaded = _current(subject, policy)
            manifest = loaded.manifest
            index = {p: f.index for p, f in enumerate(subject.layout.fragments)}
            by_index = {(url, index[p]): to for (url, p), to in telling.items()}
            sources = [s for s in without(manifest.sources, by_index) if s.url not in dropped]
            new = replace(manifest, sources=tuple(sources))
            changed = new != manifest
            manifest, data = new, new.to_bytes() if changed else loaded.data
            if key is not None:
                before = loaded.signed
                if before is None:
                    old = _signature_beside(subject, store, near)
                    before = None if old is None else _own(subject.where, loaded, old, key)
                signature = _signature(data, manifest, before, key)
            if changed and not subject.where.remote:
                try:
                    path = Path(where).resolve()
                    if signature:
                        write_file(signature_path(path), signature, replace=True)
                    write_file(path, data, replace=True)
                    written.append(where)
                except OSError as error:
                    unwritten.append(Unwritten(where, "", reason(error).lower()))
        targets = [s.url for s in manifest.sources] + [s.url for s in subject.sources]
    else:
        targets = list(restored)
    for url in dict.fromkeys(t for t in targets if t not in wants.gone):
        for name in _names(subject, url):
            if not is_url(url) and os.path.abspath(url + name) == os.path.abspath(where):
                continue
            try:
                only_missing = not changing
                if _put(store(url), name, data, signature, manifest, only_missing=only_missing):
                    written.append(url + name)
            except RequestFailed as failed:
                if failed.failure is Failure.ABORTED:
                    raise
                if failed.failure is not Failure.FORBIDDEN:
                    unwritten.append(Unwritten(url, name, failed.what))
                elif changing:
                    notes.append(f"{url} keeps its old manifest: it does not accept uploads")
    return Announcement(tuple(written), tuple(unwritten), tuple(dict.fromkeys(notes)))


def _telling(
    subject: Subject, moves: dict[tuple[str, int], str], notes: list[str]
) -> dict[tuple[str, int], str]:
    """The moves that a manifest can express; notes on the others."""
    telling = {}
    named = {s.url for s in subject.manifest.sources}
    for (home, position), url in moves.items():
        name = subject.layout.fragments[position].name
        if not is_url(url):
            if url in subject.to:
                notes.append(f"a manifest cannot name folders: {name} is in {url}")
        elif not subject.manifest.sources:
            if url in subject.to:
                notes.append(f"the manifest lists no sources: to use {url}, give it with --server")
        elif home in named or url in named or url in subject.to:
            telling[home, position] = url
    return telling


def _names(subject: Subject, url: str) -> list[str]:
    """The names of the manifest at a source: the usual one, and the one it was read by."""
    names = [suffixed(subject.manifest.name, MANIFEST_SUFFIX)]
    where = subject.where
    if where.remote and folder_of(where) == url and where.name not in names:
        names.insert(0, where.name)
    return names


def _current(subject: Subject, policy: RetryPolicy) -> LoadedManifest:
    loaded = load_manifest(subject.where, Prober(policy.options, subject.trust))
    if loaded.manifest.digest != subject.manifest.digest:
        raise VerificationError(
            f"{subject.where}: was replaced by the manifest of another file",
            help="the fragments are repaired, the manifest is kept",
        )
    return loaded


def _signature_beside(
    subject: Subject, store: Callable[[str], RetryingStore], urls: Sequence[str]
) -> bytes | None:
    """The signature of the manifest, where it was read or at some sources; None: there is none.

    Where no key is trusted it is not verified.
    """
    if subject.loaded.signed:
        return subject.loaded.signed.data
    if not subject.where.remote:
        path = signature_path(subject.where.text)
        with (
            system_errors(StorageError, path),
            contextlib.suppress(FileNotFoundError),
            path.open("rb") as file,
        ):
            return file.read(MAX_SIGNATURE_BYTES + 1)
    for url in urls:
        for name in _names(subject, url):
            try:
                found = store(url).read_whole(signature_name(name), MAX_SIGNATURE_BYTES)
            except RequestFailed as failed:
                if failed.failure is Failure.ABORTED:
                    raise
                continue
            if found is not None:
                return found
    return None


def _own(where: Address, loaded: LoadedManifest, signature: bytes, key: SecretKey) -> Signed:
    """The signature that a key made before. Raises VerificationError where another one did."""
    from regather.sources.signed import checked

    return checked(where, loaded.data, signature, (key.public,))


def _signature(data: bytes, manifest: Manifest, before: Signed | None, key: SecretKey) -> bytes:
    """The signature of the changed manifest, with the version of the old one: the same file."""
    from regather.sources.signing import comment_on, signature_of

    version = before.comment.version if before else None
    return signature_of(data, comment_on(manifest, version), key)


def _alone(where: Address) -> AbstractContextManager[None]:
    """Nobody else of us changes a local manifest meanwhile."""
    if where.remote:
        return contextlib.nullcontext()
    return folder_locked(os.path.dirname(os.path.abspath(where.text)))


def _put(
    store: RetryingStore,
    name: str,
    data: bytes,
    signature: bytes | None,
    manifest: Manifest,
    *,
    only_missing: bool,
) -> bool:
    """Store the manifest at a source; leaves that of another file, and an equal one, alone."""
    old = store.read_whole(name, MAX_MANIFEST_BYTES)
    if old is not None:
        if only_missing or old == data:
            return False
        with contextlib.suppress(ManifestError):
            if Manifest.from_bytes(old).digest != manifest.digest:
                return False
    if signature:
        store.put_bytes(signature_name(name), signature)
    store.put_bytes(name, data)
    return True
