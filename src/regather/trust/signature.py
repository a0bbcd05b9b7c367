"""Signatures of minisign: four lines, over a file and over a trusted comment."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Callable

from msgspec import Struct

from regather.trust import MAX_SIGNATURE_BYTES, UNTRUSTED, crypto
from regather.trust.public_key import PublicKey, key_name

_HASHED, _LEGACY = b"ED", b"Ed"
_TRUSTED = "trusted comment: "
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_SIZE = 2 + 8 + 64


class SignatureFlaw(Exception):
    """Why a signature is not accepted."""


class Signature(Struct, frozen=True):
    """What stands in a file NAME.minisig."""

    algorithm: bytes
    """``ED``: of the BLAKE2b of the file; ``Ed``, the older form: of the file itself."""
    key_id: bytes
    signature: bytes
    """Of the file, 64 bytes."""
    comment: str
    """The trusted comment."""
    comment_signature: bytes
    """Of the signature and the trusted comment, 64 bytes."""

    @property
    def key_name(self) -> str:
        """The id of the key that it says it is by."""
        return key_name(self.key_id)

    @property
    def text(self) -> str:
        """The file."""
        raw = self.algorithm + self.key_id + self.signature
        return (
            f"{UNTRUSTED}signature by key {self.key_name}\n{b64encode(raw).decode()}\n"
            f"{_TRUSTED}{self.comment}\n{b64encode(self.comment_signature).decode()}\n"
        )

    def check(self, data: bytes, key: PublicKey) -> None:
        """Raise SignatureFlaw where this is not the signature of ``data`` by ``key``."""
        signed = crypto.prehash(data) if self.algorithm == _HASHED else data
        if not crypto.is_signed(key.key, self.signature, signed):
            raise SignatureFlaw("its signature does not match")
        if not crypto.is_signed(
            key.key, self.comment_signature, self.signature + self.comment.encode()
        ):
            raise SignatureFlaw("the comment of its signature was changed")


def parse_signature(data: bytes) -> Signature:
    """Read a file NAME.minisig. Raises SignatureFlaw."""
    if len(data) > MAX_SIGNATURE_BYTES:
        raise SignatureFlaw(f"its signature is larger than {MAX_SIGNATURE_BYTES >> 10} KiB")
    try:
        lines = data.decode().replace("\r\n", "\n").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise SignatureFlaw("its signature is not text in UTF-8") from None
    if len(lines) != 4 or not lines[0].startswith(UNTRUSTED):
        raise SignatureFlaw("its signature is not in the format of minisign")
    if not lines[2].startswith(_TRUSTED):
        raise SignatureFlaw("its signature has no trusted comment")
    raw, comment_signature = _decoded(lines[1], _SIZE), _decoded(lines[3], 64)
    algorithm = raw[:2]
    if algorithm not in (_HASHED, _LEGACY):
        raise SignatureFlaw("its signature is of an unknown kind")
    comment = lines[2].removeprefix(_TRUSTED)
    if _CONTROL.search(comment):
        raise SignatureFlaw("the comment of its signature holds control characters")
    return Signature(algorithm, raw[2:10], raw[10:], comment, comment_signature)


def _decoded(line: str, size: int) -> bytes:
    try:
        raw = b64decode(line, validate=True)
    except (binascii.Error, ValueError):
        raise SignatureFlaw("its signature is not base64") from None
    if len(raw) != size:
        raise SignatureFlaw("its signature is too short or too long")
    return raw


def signature_of(
    data: bytes, comment: str, key_id: bytes, sign: Callable[[bytes], bytes]
) -> Signature:
    """Sign ``data`` and a trusted comment; ``sign`` has the secret key."""
    signature = sign(crypto.prehash(data))
    return Signature(_HASHED, key_id, signature, comment, sign(signature + comment.encode()))
