"""The hashes that are known here, by name; what computes them is ``digest``."""

from __future__ import annotations

HASH_SIZE = 32
"""Bytes of a piece hash (BLAKE3)."""
HASH_SIZES = {
    "md5": 16,
    "sha1": 20,
    "sha224": 28,
    "sha256": 32,
    "sha384": 48,
    "sha512": 64,
    "blake2b": 64,
    "blake2s": 32,
    "blake3": HASH_SIZE,
}
"""By name, in bytes."""
