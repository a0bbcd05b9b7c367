"""Before anything is sent: what stands at the targets, and whether it must be left alone."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from regather.errors import DestinationExistsError, ManifestError, NotPlacedError, UsageError
from regather.manifest import MAX_MANIFEST_BYTES, Manifest
from regather.names import signature_name, suffixed
from regather.publisher.fragment_reader import FragmentReader
from regather.publisher.targets import PublishTarget, at_each
from regather.publisher.trusted import Trusted
from regather.publisher.upload_plan import UploadPlan
from regather.schemes import STORES, scheme_of
from regather.transport import Failure, RequestFailed, locate
from regather.transport.stores.base import Store
from regather.transport.stores.retrying import Found
from regather.trust import MAX_SIGNATURE_BYTES, UNTRUSTED
from regather.units import counted

_SHOWN = 20
_NOT_ALLOWED = 405
_BAD_REQUEST = 400


def survey(
    targets: Sequence[PublishTarget],
    plan: UploadPlan,
    manifest: Manifest,
    manifest_name: str,
    origin: FragmentReader,
    trusted: Trusted,
) -> None:
    """Look at all targets at once, and note what stands there.

    Raises VerificationError where a manifest is not signed as it must be, and what ``origin``
    raises.
    """
    held = {target.url: plan.held_by(number) for number, target in enumerate(targets)}

    def look(target: PublishTarget) -> None:
        with target.open() as store:
            raw = store.read_whole(manifest_name, MAX_MANIFEST_BYTES)
            if raw is not None:
                _compare(target, raw, manifest)
                found = store.read_whole(signature_name(manifest_name), MAX_SIGNATURE_BYTES)
                # Some servers answer with a page where there is none.
                if found is not None and found.startswith(UNTRUSTED.encode()):
                    target.signature = found
                trusted.check(target, manifest_name)
            for position in held[target.url]:
                target.found[position] = store.look(
                    manifest.layout, position, origin.reader(position)
                )

    for target, error in at_each(targets, look):
        target.unreachable = error


def check_permission(targets: Sequence[PublishTarget], manifest_name: str) -> None:
    """Raise NotPlacedError where a target takes nothing from us: before a long file is read.

    UsageError where one takes nothing of that name. One that does not answer now may do so later.
    """

    def ask(target: PublishTarget) -> None:
        with target.open() as store:
            _may_write(store.store, manifest_name)

    errors = {target.url: error for target, error in at_each(targets, ask)}
    for error in errors.values():
        if error.failure is not Failure.FORBIDDEN:
            raise UsageError(error.what, help="publish it under another name")
    if errors:
        raise NotPlacedError(
            f"{len(errors)} of {counted(len(targets), 'target')} did not accept the upload, so "
            "nothing was sent",
            help=f"{_remedy(errors)}, or omit them",
            details=tuple(error.what for error in errors.values()),
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


def _remedy(refused: Mapping[str, RequestFailed]) -> str:
    """What opens the targets that refuse us."""
    words = []
    for url, error in refused.items():
        scheme = scheme_of(url)
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


def _compare(target: PublishTarget, raw: bytes, manifest: Manifest) -> None:
    target.raw = raw
    target.manifest = "other"
    try:
        found = Manifest.from_bytes(raw)
    except ManifestError:
        return
    if found.blake3 != manifest.blake3:
        target.version_of = found.name
    if found.digest == manifest.digest and found.fragments == manifest.fragments:
        target.manifest, target.document = "same", found


def refuse_to_replace(
    targets: Sequence[PublishTarget], manifest: Manifest, manifest_name: str, *, signing: bool
) -> None:
    """Raise DestinationExistsError where something else stands in the place of ours.

    A wrong fragment beside a manifest of this very file is damaged: replacing it mends it.
    """
    taken: dict[str, list[str]] = {}
    for target in targets:
        if target.signature and not signing:
            raise DestinationExistsError(
                f"{target.locate(manifest_name)}: is signed, and the new manifest would not be",
                help="sign it with --sign-with FILE, or use --force to publish it unsigned",
            )
        names = [manifest_name] if target.manifest == "other" else []
        if target.manifest != "same":
            names += [
                manifest.fragments[position].name
                for position, found in target.found.items()
                if found is Found.OTHER
            ]
        if names:
            taken[target.url] = names
    earlier = any(target.version_of == manifest.name for target in targets)
    if taken:
        raise occupied(taken, another_version_of=manifest.name if earlier else "")


def refuse_to_lose(plan: UploadPlan, targets: Sequence[PublishTarget]) -> None:
    """Raise NotPlacedError where not all of a version that replaces another could be stored.

    The version that stands there would be gone, and none would be whole.
    """
    if plan.unplaced:
        raise NotPlacedError(
            f"{counted(len(set(plan.unplaced)), 'fragment')} could not be stored now, so nothing "
            "was changed: the version that is there stays",
            help="wait for all targets, or publish to a separate folder (--to URL/NAME/)",
            details=tuple(target.trouble for target in targets if target.error),
        )


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


# -- where an earlier run was not finished, and nobody says how many fragments ------------------


def earlier_count(targets: Sequence[PublishTarget], size: int, parity: int) -> int | None:
    """Into how many equal fragments an unfinished run cut the file; None: unknown.

    The number follows from that of the targets. So one more ``--to``, which is what helps where a
    target is full, would cut the file anew, and all that stands at the others would be in the way.
    Only sizes are asked for, of the fragments that each target got first. What stands there is
    read and hashed later, so a wrong guess replaces nothing.
    """
    sizes: dict[int, int] = {}

    def ask(target: PublishTarget) -> None:
        with target.open() as store:
            for position, name in _names(targets.index(target), parity):
                stat = store.store.stat(name)  # once: whoever looks closer asks again
                if stat is not None and stat.size:
                    sizes[position] = stat.size

    at_each(targets, ask)  # whoever looks closer will report what failed
    return matching(size, sizes, len(targets) - parity)


def _names(number: int, parity: int) -> list[tuple[int, str]]:
    """What a target had first, with its position: parity is as long as the first fragment."""
    data = [(number, f"file_fragment_{number + 1}.dat")]
    return [*data, (0, "file_parity_1_1.dat")] if parity and number else data


def matching(size: int, sizes: dict[int, int], most: int) -> int | None:
    """Which number of equal fragments, ``most`` at most, gives those sizes, by position."""
    if not sizes or not size:
        return None
    longest = max(sizes.values())
    # With fewer they are longer, with more shorter: these few numbers are all that there can be.
    for count in range(-(-size // (longest + 1)), min(most, size // max(longest - 1, 1), size) + 1):
        each, extra = divmod(size, count)
        if all(n < count and each + (n < extra) == found for n, found in sizes.items()):
            return count
    return None
