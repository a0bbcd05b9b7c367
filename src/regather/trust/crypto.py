"""Ed25519 and scrypt, of the package ``cryptography``: optional, imported when first needed."""

from __future__ import annotations

import hashlib

from regather.errors import UsageError

INSTALL = "pip install 'cryptography>=42'"
"""What to tell where the package is missing."""


def _missing() -> UsageError:
    return UsageError(
        "signatures need the package cryptography, which is not installed", help=INSTALL
    )


def prehash(data: bytes) -> bytes:
    """What of ``data`` is signed: its BLAKE2b, of 64 bytes."""
    return hashlib.blake2b(data, digest_size=64).digest()


def is_signed(key: bytes, signature: bytes, data: bytes) -> bool:
    """Whether the Ed25519 signature of ``data`` is right. Raises UsageError where nothing can."""
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        raise _missing() from None
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
    except (InvalidSignature, ValueError):  # what is no point of the curve is no key either
        return False
    return True


def sign(seed: bytes, data: bytes) -> bytes:
    """The Ed25519 signature of ``data``, 64 bytes. Raises UsageError."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise _missing() from None
    return Ed25519PrivateKey.from_private_bytes(seed).sign(data)


def public_of(seed: bytes) -> bytes:
    """The public key, 32 bytes, that belongs to the secret one. Raises UsageError."""
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    except ImportError:
        raise _missing() from None
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def stretched(password: bytes, salt: bytes, size: int, n: int, r: int, p: int) -> bytes:
    """Make a mask of a password by scrypt. Raises UsageError where there is too little memory."""
    try:
        from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
    except ImportError:
        raise _missing() from None
    try:
        return Scrypt(salt, size, n, r, p).derive(password)
    except MemoryError:
        raise UsageError(
            f"the password of the secret key needs {n * r * 128 >> 20} MiB of memory",
            help="free some memory, then run the same command again",
        ) from None
