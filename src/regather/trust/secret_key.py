"""Secret keys of minisign: with a password, stretched by scrypt, or without one."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
import struct
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from regather.errors import UsageError, unusable
from regather.trust import UNTRUSTED, crypto
from regather.trust.public_key import PublicKey
from regather.trust.signature import Signature, signature_of

_HEAD = struct.Struct("<2s2s2s32sQQ")
_BODY = struct.Struct("<8s32s32s32s")
_SIGN, _SCRYPT, _PLAIN, _BLAKE2B = b"Ed", b"Sc", b"\0\0", b"B2"
_SIZE = _HEAD.size + _BODY.size
_MOST = 4096
"""Bytes of a file with a secret key, at most."""
_OPS, _MEMORY = 1 << 22, 128 << 20
"""How much work a password of a new key takes: N = 2^17, r = 8, p = 1."""
_MOST_MEMORY, _MOST_WORK = 2 << 30, 1 << 23
"""A key that asks for more is not ours to open: minisign's take 1 GiB and 2^20 * 8."""


class SecretKey(Struct, frozen=True):
    """A key to sign with."""

    id: bytes
    seed: bytes
    """32 bytes."""
    public: PublicKey

    def __repr__(self) -> str:
        return f"<SecretKey {self.public.name}>"

    @classmethod
    def new(cls) -> SecretKey:
        """A new pair of keys. Raises UsageError where the library is missing."""
        seed, id = os.urandom(32), os.urandom(8)
        return cls(id, seed, PublicKey(id, crypto.public_of(seed)))

    @classmethod
    def read(cls, path: str | Path, password: str | Callable[[], str] = "") -> SecretKey:
        """Read the file of a secret key, by regather or minisign. Raises UsageError.

        ``password`` is only used, or called, where the key has one.
        """
        try:
            with open(path, "rb") as file:
                lines = file.read(_MOST).decode("latin-1").splitlines()
            raw = b64decode(lines[1], validate=True)
        except OSError as error:
            raise unusable(path, "a secret key", error) from None
        except (binascii.Error, ValueError, IndexError):
            raise _no_key(path) from None
        if len(raw) != _SIZE:
            raise _no_key(path)
        sign, kind, checksum_kind, salt, ops, memory = _HEAD.unpack_from(raw)
        body = raw[_HEAD.size :]
        if sign != _SIGN or kind not in (_SCRYPT, _PLAIN) or checksum_kind != _BLAKE2B:
            raise _no_key(path)
        if kind == _SCRYPT:
            known = password if isinstance(password, str) else password()
            body = _masked(body, known.encode(), salt, ops, memory)
        id, seed, public, checksum = _BODY.unpack(body)
        # minisign writes no checksum without a password.
        given = kind == _SCRYPT or any(checksum)
        if given and not hmac.compare_digest(checksum, _checksum(id, seed, public)):
            why = "the password is wrong" if kind == _SCRYPT else "the key is damaged"
            raise UsageError(f"{path}: {why}", help="nothing was signed")
        if crypto.public_of(seed) != public:
            raise UsageError(f"{path}: the key is damaged", help="nothing was signed")
        return cls(id, seed, PublicKey(id, public))

    def text(self, password: str = "") -> str:
        """The file of the key; an empty password: without one."""
        public = self.public.key
        body = _BODY.pack(self.id, self.seed, public, _checksum(self.id, self.seed, public))
        salt, ops, memory, kind = bytes(32), 0, 0, _PLAIN
        if password:
            salt, ops, memory, kind = os.urandom(32), _OPS, _MEMORY, _SCRYPT
            body = _masked(body, password.encode(), salt, ops, memory)
        raw = _HEAD.pack(_SIGN, kind, _BLAKE2B, salt, ops, memory) + body
        protected = "encrypted" if password else "unencrypted"
        return f"{UNTRUSTED}minisign {protected} secret key\n{b64encode(raw).decode()}\n"

    def sign(self, data: bytes, comment: str) -> Signature:
        """Sign ``data`` and a trusted comment."""
        return signature_of(data, comment, self.id, lambda part: crypto.sign(self.seed, part))


def _no_key(path: str | Path) -> UsageError:
    return UsageError(
        f"{path}: not a secret key of minisign",
        help="give the file that `regather keygen` or `minisign -G` wrote",
    )


def _checksum(id: bytes, seed: bytes, public: bytes) -> bytes:
    return hashlib.blake2b(_SIGN + id + seed + public, digest_size=32).digest()


def _masked(body: bytes, password: bytes, salt: bytes, ops: int, memory: int) -> bytes:
    """The body with the mask of a password put on, or taken off."""
    n, r, p = _costs(ops, memory)
    if n * r * 128 > _MOST_MEMORY or n * p > _MOST_WORK:
        raise UsageError(
            f"the secret key asks for {n * r * 128 >> 20} MiB and {p} rounds to open it",
            help="make another one with `regather keygen`",
        )
    mask = crypto.stretched(password, salt, len(body), n, r, p)
    return bytes(a ^ b for a, b in zip(body, mask, strict=True))


def _costs(ops: int, memory: int) -> tuple[int, int, int]:
    """N, r and p of scrypt for limits of libsodium, as its own code computes them."""
    r = 8
    ops = max(ops, 32768)
    if ops < memory // 32:
        return _power(ops // (r * 4)), r, 1
    n = _power(memory // (r * 128))
    return n, r, max(min(ops // 4 // n, 0x3FFFFFFF) // r, 1)


def _power(most: int) -> int:
    """The first power of two, from 2, that is more than half of ``most``."""
    n = 2
    while n <= most // 2 and n < 1 << 62:
        n *= 2
    return n
