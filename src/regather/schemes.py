"""Which URL schemes there are: what begins an address that is reached over a network."""

from __future__ import annotations

HTTP = frozenset(("http", "https"))
"""Reached by our own HTTP/1.1 client."""

FILES = frozenset(("ftp", "ftps", "sftp"))
"""Reached by libcurl; to read from only."""

STORES = frozenset(("s3", "gs", "az"))
"""Object stores, reached through obstore: S3 and what speaks like it, Google's, Azure's."""

REMOTE = HTTP | STORES | FILES
"""Every scheme that some transport serves; anything else is a path of this machine."""

PORTS = {"http": 80, "https": 443, "ftp": 21, "ftps": 990, "sftp": 22}
"""Where a scheme's servers listen unless the URL says otherwise."""


def scheme_of(text: str) -> str:
    """The scheme of a URL in lower case, or "" where ``text`` has none."""
    scheme, separator, _ = text.partition("://")
    return scheme.lower() if separator else ""


def listed(schemes: frozenset[str] = REMOTE) -> str:
    """Schemes for an error line: ``http:// or https://``."""
    *most, last = (f"{scheme}://" for scheme in sorted(schemes))
    return f"{', '.join(most)} or {last}" if most else last
