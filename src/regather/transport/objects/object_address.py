"""Addresses of objects: ``s3://bucket/key``, and the same with gs and az."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from regather.schemes import STORES

_BUCKET = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{0,254}")
_MAX_KEY = 1024
"""Bytes: what S3, Google and Azure take."""


@dataclass(frozen=True, slots=True)
class ObjectAddress:
    """An object, or a prefix where ``key`` is empty or ends in a slash."""

    scheme: str
    bucket: str
    """Of Azure: the container."""
    key: str
    """As the store knows it: not percent-encoded."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"


def address_of(url: str) -> ObjectAddress:
    """Read the URL of an object, percent-encoded as all URLs are. Raises ValueError, saying why."""
    parts = urlsplit(url)
    if parts.scheme not in STORES:
        raise ValueError(f"not the address of an object: {url!r}")
    if not _BUCKET.fullmatch(parts.netloc):
        raise ValueError(f"not a bucket name: {parts.netloc!r}")
    if parts.query or parts.fragment:
        raise ValueError(f"{url}: in a key, ? is written %3F and # is %23")
    try:
        key = unquote(parts.path.removeprefix("/"), errors="strict")
    except UnicodeDecodeError:
        raise ValueError(f"{url}: the key is not UTF-8") from None
    if len(key.encode()) > _MAX_KEY:
        raise ValueError(f"{url[:100]}...: a key has at most {_MAX_KEY} bytes")
    names = key.removesuffix("/").split("/") if key else []
    if any(name in ("", ".", "..") or not name.isprintable() for name in names):
        raise ValueError(f"{url}: a key with empty names, only dots, or control characters")
    return ObjectAddress(parts.scheme, parts.netloc, key)
