"""Signed manifests: which keys are trusted where, and whether a manifest is signed by one of them.

Imported only where a key is trusted, or ``require_trust`` is set.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import quote

from msgspec import Struct

from regather.errors import VerificationError, reason
from regather.manifest import Manifest
from regather.names import (
    MANIFEST_SUFFIX,
    SIGNATURE,
    signature_name,
    signature_path,
    suffixed,
    with_zone,
)
from regather.schemes import PORTS
from regather.transport import RequestFailed
from regather.transport.host_options import Hosts
from regather.trust import MAX_SIGNATURE_BYTES
from regather.trust.accepted import accept
from regather.trust.comment import TrustedComment, parse_comment
from regather.trust.public_key import PublicKey, public_key
from regather.trust.signature import Signature, SignatureFlaw, parse_signature

if TYPE_CHECKING:
    from regather.sources.addresses import Address
    from regather.sources.download_target import DownloadTarget
    from regather.sources.jobs import DownloadJob
    from regather.sources.probing import Prober
    from regather.sources.settings import Settings

_HELP = "do not use it, or ask its publisher for a correct one"
_MANIFESTS_ONLY = (
    f"--trust verifies manifests (NAME{MANIFEST_SUFFIX}): for other files use minisign -V or "
    "--sha256 HEX, or leave out --trust"
)
_Keys = tuple[PublicKey, ...]


class TrustRules:
    """Which keys are trusted for which manifest. Raises UsageError where one is no key.

    The first of these counts: a pattern of the name, the host, what is trusted for all.
    """

    def __init__(self, settings: Settings) -> None:
        self.required = settings.require_trust
        """Whether a manifest from the network needs a key or a digest."""
        self.allow_older = settings.allow_older
        self._names = {name: _keys(given) for name, given in settings.trust_names.items()}
        self._hosts = Hosts(settings.hosts)
        self._general = _keys(settings.trust)
        self._of_host = {given: _keys(given) for o in settings.hosts.values() if (given := o.trust)}

    def keys_for(self, address: Address, name: str = "") -> _Keys:
        """The keys for what is at an address; none: it needs no signature.

        ``name`` is that of the file, where it is known; else the address tells it.
        """
        name = name or address.name.removesuffix(MANIFEST_SUFFIX)
        for pattern, keys in self._names.items():
            if fnmatchcase(name, pattern):
                return keys
        if address.url is not None:
            host = with_zone(address.url.hostname or "")
            port = address.url.port or PORTS.get(address.url.scheme, 0)
            if given := self._hosts.of(host, port).trust:
                return self._of_host[given]
        return self._general


def _keys(given: Iterable[str]) -> _Keys:
    return tuple(map(public_key, given))


class Signed(Struct, frozen=True):
    """A signature that was verified."""

    by: PublicKey
    comment: TrustedComment
    data: bytes
    """The file NAME.minisig."""


def refuse_unsigned(job: DownloadJob, rules: TrustRules, places: Iterable[Address]) -> None:
    """Refuse a job that has no manifest where a signed one is needed: before anything is asked.

    Raises VerificationError.
    """
    if job.sources and (len(job.sources) == 1 or job.copies_of_manifest):
        return  # it is taken for a manifest
    for place in places:
        if rules.keys_for(place):
            raise _unsigned(place)


def check_targets(
    job: DownloadJob,
    rules: TrustRules,
    places: Sequence[Address],
    targets: Iterable[DownloadTarget],
) -> None:
    """Refuse what was found to be no signed manifest, by its own name too.

    Raises VerificationError.
    """
    network = any(place.remote for place in places)
    for target in targets:
        if target.signed_by:
            continue
        for place in places:
            if rules.keys_for(place, target.name):
                raise _unsigned(place)
        pinned = target.digest or any(not c.origin for c in job.checksums)
        if rules.required and not pinned and (network or not target.verified_by):
            raise VerificationError(
                f"{target.name}: neither a checksum nor a digest confirms it, and --require-trust "
                "is set",
                help="give --sha256 HEX, or a manifest with --trust PUBKEY or --digest HEX",
            )


def _unsigned(place: Address) -> VerificationError:
    return VerificationError(
        f"{place}: is no signed manifest: mirrors, metalinks and plain fragments have no signature",
        help=_MANIFESTS_ONLY,
    )


def signature_at(address: Address, asking: Prober) -> bytes:
    """The signature beside a manifest. Raises VerificationError where there is none."""
    name = signature_name(address.name)
    try:
        if address.url is None:
            with open(signature_path(address.text), "rb") as file:
                return file.read(MAX_SIGNATURE_BYTES + 1)
        path = address.url.path
        if name == address.name + SIGNATURE:
            path += SIGNATURE  # quoted as the user did it
        else:
            path = path.rpartition("/")[0] + "/" + quote(name, safe="")
        url = address.url._replace(path=path, fragment="").geturl()
        return asking.document(url, MAX_SIGNATURE_BYTES)[0]
    except OSError as error:
        why = f"{signature_path(address.text)}: {reason(error).lower()}"
    except RequestFailed as error:
        why = error.what
    raise VerificationError(
        f"{address}: no signature: {why}",
        help=f"ask its publisher for {name}, or leave out --trust"
        if address.name.endswith(MANIFEST_SUFFIX)
        else _MANIFESTS_ONLY,
    )


def checked(address: Address, data: bytes, signature: bytes, keys: _Keys) -> Signed:
    """Hold a manifest against its signature, before anything in it is read.

    Raises VerificationError.
    """
    try:
        read = parse_signature(signature)
        by = _signer(read, data, keys)
        comment = parse_comment(read.comment)
    except SignatureFlaw as flaw:
        raise VerificationError(f"{address}: {flaw}", help=_HELP) from None
    return Signed(by, comment, signature)


def _signer(signature: Signature, data: bytes, keys: _Keys) -> PublicKey:
    trusted = [key for key in keys if key.id == signature.key_id]
    if not trusted:
        raise SignatureFlaw(_other_key(signature.key_name, keys))
    for key in trusted[:-1]:
        try:
            signature.check(data, key)
        except SignatureFlaw:
            continue
        return key
    signature.check(data, trusted[-1])
    return trusted[-1]


def check_signer(address: Address, signed: Signed, keys: _Keys) -> None:
    """Raise VerificationError where the signer is none of ``keys``."""
    if signed.by not in keys:
        raise VerificationError(f"{address}: {_other_key(signed.by.name, keys)}", help=_HELP)


def _other_key(name: str, keys: _Keys) -> str:
    names = ", ".join(dict.fromkeys(key.name for key in keys))
    return f"signed by key {name}, trusted is {names}"


def accept_signed(address: Address, manifest: Manifest, signed: Signed, rules: TrustRules) -> None:
    """What a good signature says must be of this manifest, and of no older version.

    Raises VerificationError, or StorageError where that cannot be remembered.
    """
    if flaw := _flaw(address.name, manifest, signed.comment):
        raise VerificationError(f"{address}: {flaw}", help=_HELP)
    accept(
        str(address),
        signed.by,
        signed.comment,
        manifest.digest,
        allow_older=rules.allow_older,
        environment=os.environ,
    )


def _flaw(wanted: str, manifest: Manifest, comment: TrustedComment) -> str:
    """What of a name or digest does not fit; names are compared letter by letter."""
    name = suffixed(manifest.name, MANIFEST_SUFFIX)
    if comment.file != name:
        return f"its signature is for {comment.file!a}, not for {name!a}"
    if wanted != name:
        return f"it is the manifest of another file: {name!a}, not {wanted!a}"
    if comment.digest and comment.digest != manifest.digest:
        return f"its signature is for digest {comment.digest}, not for {manifest.digest}"
    return ""
