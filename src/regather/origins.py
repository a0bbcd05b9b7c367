"""Where a URL leads: scheme, host and port, as they go over the wire."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

from regather.errors import UsageError
from regather.names import idna, with_zone
from regather.schemes import PORTS

Origin = tuple[str, str, int]
"""Scheme, host and port of a URL: where secrets may go is decided by all three."""


@lru_cache(maxsize=1024)  # asked several times a request
def origin_of(url: SplitResult) -> Origin:
    """Where a URL leads."""
    port = PORTS[url.scheme] if url.port is None else url.port
    return url.scheme, with_zone(url.hostname or ""), port


def parse_host(text: str) -> tuple[str, int | None]:
    """Read ``host``, ``host:port``, ``[::1]:port``; returns the host in ASCII, and the port.

    Raises UsageError.
    """
    bare = f"[{text}]" if text.count(":") > 1 and not text.startswith("[") else text
    try:
        parts = urlsplit(f"//{bare}")
        host, port = ascii_host(parts.hostname or ""), parts.port
        fit = parts.netloc == bare and "@" not in bare and not any(c.isspace() for c in bare)
    except ValueError:  # UnicodeError is one
        host, port, fit = "", None, False
    if not host or not fit:
        raise UsageError(
            f"not a host: {text.rpartition('@')[2]!r}", help="write HOST or HOST:PORT, not a URL"
        )
    return host, port


def ascii_host(host: str) -> str:
    """A host as it goes over the wire: in lower case, IDNA."""
    return idna(host.lower())
