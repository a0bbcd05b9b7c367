"""When all fragments stand: the manifest at every target, and what to tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec.structs import replace

from regather.errors import NotPlacedError
from regather.manifest import Manifest
from regather.model import FragmentIndex, ManifestSource
from regather.names import signature_name
from regather.publisher.report import PublishReport, TargetReport
from regather.publisher.targets import PublishTarget, at_each
from regather.publisher.trusted import Trusted
from regather.publisher.upload_plan import UploadPlan
from regather.transport import is_url
from regather.transport.stores.retrying import RetryingStore
from regather.units import counted

_SHOWN = 20
_GONE = "; the version that was there is incomplete until then"
_HELP = "the same command resumes; add targets with --to"


def check_placed(
    plan: UploadPlan, targets: Sequence[PublishTarget], manifest: Manifest, *, replaced: bool
) -> None:
    """Raise NotPlacedError where some fragments have no place that is safe enough.

    With ``replaced``, another version stood there, which is not whole any more.
    """
    if not plan.unplaced:
        for position, places in enumerate(plan.holders):
            # What a manifest is written on must be what was done.
            assert all(position in targets[place].placed for place in places)
        return
    copies = Counter(plan.unplaced)
    names = []
    for position in sorted(copies)[:_SHOWN]:
        there = len(plan.holders[position])
        again = f" {counted(copies[position], 'more time')} (stored {there}x)" * bool(there)
        names.append(manifest.fragments[position].name + again)
    if len(copies) > _SHOWN:
        names.append(f"and {len(copies) - _SHOWN} more")
    others = (
        "; the other targets do not take them: with more on one target, the loss of "
        f"{counted(plan.demanded, 'target')} could lose the file"
    ) * bool(plan.demanded)
    raise NotPlacedError(
        f"{len(copies)} of {counted(len(manifest.fragments), 'fragment')} could not be stored, "
        f"and no manifest was written{others}{_GONE * replaced}",
        help=_HELP,
        details=(*_troubles(targets), f"not stored: {', '.join(names)}"),
        missing=tuple(manifest.fragments[f].name for f in sorted(copies)),
    )


def _troubles(targets: Sequence[PublishTarget]) -> tuple[str, ...]:
    return tuple(target.trouble for target in targets if target.error)


def write_manifests(
    plan: UploadPlan,
    manifest: Manifest,
    name: str,
    targets: Sequence[PublishTarget],
    trusted: Trusted,
    *,
    dry_run: bool = False,
) -> list[str]:
    """Write the manifest to all targets that are there; returns where it stands.

    With ``dry_run``, where it would.

    It must stand at more targets than may be lost, else NotPlacedError is raised; a target beyond
    those that does not take it only gets an error.
    """
    data = _document(manifest, targets)
    signature = trusted.signature(data, manifest, targets)
    written: set[str] = set()

    def write(target: PublishTarget) -> None:
        if (target.raw, target.signature) != (data, signature) and not dry_run:
            with target.open() as store:
                _write(store, name, data, signature, target)
        written.add(target.url)

    for target, error in at_each([target for target in targets if not target.failed], write):
        target.error = target.error or f"the manifest: {error.what}"
    if len(written) <= plan.demanded:
        raise NotPlacedError(
            "all fragments are stored, but the manifest is only on "
            f"{counted(len(written), 'target')}: too few to survive the loss of {plan.demanded}",
            help=_HELP,
            details=_troubles(targets),
        )
    places = [target for target in targets if target.url in written]
    return [target.locate(name) for target in sorted(places, key=lambda t: not t.remote)]


def _write(
    store: RetryingStore, name: str, data: bytes, signature: bytes, target: PublishTarget
) -> None:
    """Store a manifest, and before it its signature: readers see to it that both fit."""
    if signature and signature != target.signature:
        store.put_bytes(signature_name(name), signature)
    elif target.signature and not signature:
        store.delete(signature_name(name))
    if target.raw != data:
        store.put_bytes(name, data)


def _document(manifest: Manifest, targets: Sequence[PublishTarget]) -> bytes:
    """The manifest with its sources: ours, and those that earlier ones of this file name."""
    sources = {
        target.url: ManifestSource(
            target.url, frozenset(FragmentIndex(p + 1) for p in target.placed)
        )
        for target in targets
        if target.remote and target.placed
    }
    documents = [target.document for target in targets if target.document is not None]
    created = min(filter(None, (manifest.created, *(d.created for d in documents))))
    for source in _agreed(targets):
        sources.setdefault(source.url, source)
    data = replace(manifest, sources=tuple(sources.values()), created=created).to_bytes()
    # What we write must be what we read, before anyone relies on it.
    Manifest.from_bytes(data)
    return data


def _agreed(targets: Sequence[PublishTarget]) -> list[ManifestSource]:
    """The sources that earlier manifests of this file name, beside ours.

    A manifest at a server is what that server says: what one of many adds would go to all. So a
    source counts where a folder of ours names it, or more than half of the servers.
    """
    told: dict[tuple[str, object], ManifestSource] = {}
    votes: Counter[tuple[str, object]] = Counter()
    servers = 0
    for target in targets:
        if target.document is None:
            continue
        servers += target.remote
        for source in target.document.sources:
            told.setdefault((source.url, source.fragments), source)
            votes[source.url, source.fragments] += 1 if target.remote else len(targets)
    return [source for key, source in told.items() if 2 * votes[key] > servers]


def report_of(
    plan: UploadPlan,
    manifest: Manifest,
    targets: Sequence[PublishTarget],
    manifests: Sequence[str],
    warnings: Sequence[str],
    *,
    seconds: float,
    dry_run: bool,
) -> PublishReport:
    """What to tell at the end."""
    survival = plan.survival()
    return PublishReport(
        name=manifest.name,
        size=manifest.size,
        digest=manifest.digest,
        blake3=manifest.blake3,
        manifests=tuple(manifests),
        survives=min(survival.failures, len(manifests) - 1),
        exact=survival.exact,
        command=_command(manifests, targets, manifest.digest),
        uploaded=sum(t.uploaded for t in targets),
        present=sum(t.present for t in targets),
        seconds=seconds,
        targets=tuple(
            TargetReport(
                url=t.url,
                state=t.state,
                fragments=tuple(manifest.fragments[p].name for p in sorted(t.placed)),
                uploaded=t.uploaded,
                present=t.present,
                error=t.error,
            )
            for t in targets
        ),
        warnings=(*warnings, *_troubles(targets)),
        files=None if manifest.folder is None else manifest.folder.files,
        dry_run=dry_run,
    )


def _command(
    manifests: Sequence[str], targets: Sequence[PublishTarget], digest: str
) -> tuple[str, ...]:
    # Two places of the manifest, as the server of one may be off.
    words = ["regather", "get", *manifests[: 2 if all(map(is_url, manifests)) else 1]]
    used = [target for target in targets if target.placed]
    folders = [target.url for target in used if not target.remote]
    # A folder that is the only source is found beside the manifest.
    if len(folders) > 1 or (folders and len(folders) < len(used)):
        words += [word for folder in folders for word in ("--server", folder)]
    elif folders and not manifests[0].startswith(folders[0]):
        words += ["--server", folders[0]]
    return (*words, "--digest", digest)
