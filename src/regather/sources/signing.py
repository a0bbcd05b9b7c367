"""Signing a manifest: what stands in the signature beside it."""

from __future__ import annotations

import time
from pathlib import Path

from regather.errors import StorageError, UsageError, system_errors
from regather.files.atomic import write_file
from regather.manifest import MAX_MANIFEST_BYTES, Manifest
from regather.names import MANIFEST_SUFFIX, signature_path, suffixed
from regather.trust.comment import MAX_VERSION, TrustedComment
from regather.trust.secret_key import SecretKey
from regather.trust.signature import SignatureFlaw, parse_signature


def sign(manifest: str | Path, secret_key: SecretKey, version: int | None = None) -> Path:
    """Sign the manifest in a file; returns the path of the signature.

    - ``version``: readers who accepted it refuse a lower one (default: the time, in seconds).

    The signature is ``manifest`` with ``.minisig`` added, in the format of minisign, and replaces
    an earlier one. Raises UsageError, ManifestError or StorageError.
    """
    return sign_file(manifest, secret_key, version)[0]


def sign_file(
    manifest: str | Path, key: SecretKey, version: int | None
) -> tuple[Path, TrustedComment]:
    """The same; returns what the signature says, too."""
    path = Path(manifest)
    with system_errors(UsageError, path, "name the file of a manifest"), path.open("rb") as file:
        data = file.read(MAX_MANIFEST_BYTES + 1)
    read = Manifest.from_bytes(data, str(path))
    comment = comment_on(read, version)
    if path.name != comment.file:
        raise UsageError(
            f"{path}: is the manifest of {read.name}, so readers expect the name {comment.file}",
            help="rename it, then sign it",
        )
    place = signature_path(path)
    with system_errors(StorageError, place):
        write_file(place, signature_of(data, comment, key), replace=True)
    return place, comment


def comment_on(manifest: Manifest, version: int | None = None) -> TrustedComment:
    """What is signed beside the bytes of a manifest. Raises UsageError."""
    now = int(time.time())
    version = now if version is None else version
    if not 0 <= version <= MAX_VERSION:
        raise UsageError(f"a version is from 0 to {MAX_VERSION}, not {version}")
    name = suffixed(manifest.name, MANIFEST_SUFFIX)
    return TrustedComment(name, now, version, manifest.digest)


def signature_of(data: bytes, comment: TrustedComment, key: SecretKey) -> bytes:
    """The file NAME.minisig for the bytes of a manifest."""
    return key.sign(data, comment.text).text.encode()


def is_by(signature: bytes, data: bytes, key: SecretKey) -> bool:
    """Whether this is a signature of these bytes by this key already."""
    try:
        parse_signature(signature).check(data, key.public)
    except SignatureFlaw:
        return False
    return True
