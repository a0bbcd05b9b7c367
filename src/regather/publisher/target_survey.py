"""Before anything is sent: what stands at the targets, and whether it must be left alone."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from regather.errors import DestinationExistsError, ManifestError, NotPlacedError, UsageError
from regather.manifest import MAX_MANIFEST_BYTES, Manifest
from regather.names import suffixed
from regather.publisher.fragment_reader import FragmentReader
from regather.publisher.targets import PublishTarget
from regather.publisher.upload_plan import UploadPlan
from regather.schemes import STORES, scheme_of
from regather.transport import Failure, RequestFailed, TransportOptions, locate
from regather.transport.stores.base import Store
from regather.transport.stores.retrying import Found, RetryingStore, RetryPolicy
from regather.units import counted

_SHOWN = 20
_NOT_ALLOWED = 405
_BAD_REQUEST = 400


@dataclass(slots=True)
class TargetFinding:
    """What stands at one target."""

    fragments: dict[int, Found] = field(default_factory=dict)
    """By position; only those that were looked for."""
    manifest: Literal["none", "same", "other"] = "none"
    """Whether there is one under our name, and whether of this very file, cut like this."""
    version_of: str = ""
    """The name of the file that another manifest there is of."""
    document: Manifest | None = None
    """The manifest, where it is the same."""
    raw: bytes = b""
    failed: RequestFailed | None = None
    """Why the target could not be looked at."""


def survey(
    targets: Sequence[PublishTarget],
    plan: UploadPlan,
    manifest: Manifest,
    manifest_name: str,
    origin: FragmentReader,
    options: TransportOptions,
    policy: RetryPolicy,
) -> list[TargetFinding]:
    """Look at all targets, one thread each.

    A target that does not answer has ``failed`` set. Raises what is raised in a thread.
    """
    findings = [TargetFinding() for _ in targets]
    layout = manifest.layout

    def work(number: int) -> None:
        finding = findings[number]
        try:
            with RetryingStore(targets[number].url, options, policy) as store:
                raw = store.read_whole(manifest_name, MAX_MANIFEST_BYTES)
                if raw is not None:
                    _compare(finding, raw, manifest)
                for position in plan.held_by(number):
                    finding.fragments[position] = store.look(
                        layout, position, origin.reader(position)
                    )
        except RequestFailed as error:
            finding.failed = error

    policy.scope.run(work, range(len(targets)), "survey")
    return findings


def check_permission(
    targets: Sequence[PublishTarget],
    manifest_name: str,
    options: TransportOptions,
    policy: RetryPolicy,
) -> None:
    """Raise NotPlacedError where a target takes nothing from us: before a long file is read.

    UsageError where one takes nothing of that name. One that does not answer now may do so later.
    """
    refused: dict[int, RequestFailed] = {}

    def work(number: int) -> None:
        try:
            with RetryingStore(targets[number].url, options, policy) as store:
                _may_write(store.store, manifest_name)
        except RequestFailed as error:
            refused[number] = error

    policy.scope.run(work, range(len(targets)), "permission")
    for number in sorted(refused):
        if refused[number].failure is not Failure.FORBIDDEN:
            raise UsageError(
                refused[number].what,
                help="publish it under another name",
            )
    if refused:
        raise NotPlacedError(
            f"{len(refused)} of {counted(len(targets), 'target')} did not accept the upload, so "
            "nothing "
            "was sent",
            help=f"{_remedy(targets, refused)}, or omit them",
            details=tuple(refused[n].what for n in sorted(refused)),
        )


def _may_write(store: Store, like: str) -> None:
    """Raise RequestFailed where we may not write (FORBIDDEN), or not under such a name as ``like``.

    Changes nothing: removing what is not there is how to ask. It is refused to those who may not,
    and 404 to others; a name that is never taken is answered with 400.
    """
    mark = f"-regather-probe-{secrets.token_hex(8)}"
    try:
        store.delete(suffixed(like, mark))
    except RequestFailed as error:
        if error.failure is Failure.FORBIDDEN or (
            error.status == _BAD_REQUEST and not _refused(store, f"name{mark}")
        ):
            error.what = error.what.replace(mark, "")
            raise


def _refused(store: Store, name: str) -> bool:
    """Whether a name, even a plain one, is answered with 400: then that says nothing."""
    try:
        store.delete(name)
    except RequestFailed as error:
        return error.status == _BAD_REQUEST
    return False


def _remedy(targets: Sequence[PublishTarget], refused: Mapping[int, RequestFailed]) -> str:
    """What opens the targets that refuse us."""
    words = []
    for number, error in sorted(refused.items()):
        scheme = scheme_of(targets[number].url)
        if scheme in STORES:
            words.append("see the response of each store")
        elif error.status == _NOT_ALLOWED:
            words.append("allow uploads there")
        elif error.status is not None and 300 <= error.status < 400:
            words.append("check their redirects")
        elif scheme == "https" and error.status is None:
            words.append("trust its certificate authority with --cacert FILE")
        else:
            words.append("send the correct token with --token HOST=FILE")
    return " and ".join(dict.fromkeys(words))


def _compare(finding: TargetFinding, raw: bytes, manifest: Manifest) -> None:
    finding.raw = raw
    finding.manifest = "other"
    try:
        found = Manifest.from_bytes(raw)
    except ManifestError:
        return
    if found.blake3 != manifest.blake3:
        finding.version_of = found.name
    if found.digest == manifest.digest and found.fragments == manifest.fragments:
        finding.manifest, finding.document = "same", found


def refuse_to_replace(
    targets: Sequence[PublishTarget],
    findings: Sequence[TargetFinding],
    manifest: Manifest,
    manifest_name: str,
) -> None:
    """Raise DestinationExistsError where something else stands in the place of ours.

    A wrong fragment beside a manifest of this very file is damaged: replacing it mends it.
    """
    taken: dict[str, list[str]] = {}
    earlier = False
    for target, finding in zip(targets, findings, strict=True):
        names = [manifest_name] if finding.manifest == "other" else []
        earlier = earlier or finding.version_of == manifest.name
        if finding.manifest != "same":
            names += [
                manifest.fragments[position].name
                for position, found in finding.fragments.items()
                if found is Found.OTHER
            ]
        if names:
            taken[target.url] = names
    if taken:
        raise occupied(taken, another_version_of=manifest.name if earlier else "")


def occupied(
    taken: Mapping[str, Sequence[str]], *, another_version_of: str = ""
) -> DestinationExistsError:
    """The error where other files have the names that ours need; ``taken`` by target."""
    (url, names), *more = taken.items()
    what, help = "another file with this name exists", "use --force to replace it"
    if another_version_of:
        what = f"another version of {another_version_of} exists there"
        help = "use --force to replace it, which sends only the fragments that differ"
    lines = [f"{url}: {', '.join(names[:_SHOWN])}" for url, names in taken.items()]
    return DestinationExistsError(
        f"{locate(url, names[0])}: {what}",
        help=f"publish to a separate folder (--to URL/NAME/), or {help}",
        details=tuple(lines) if more or len(names) > 1 else (),
    )
