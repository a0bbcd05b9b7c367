"""From what the caller names to an open file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from regather.client.asking import FEW_RETRIES, Asking
from regather.client.resolve import Target, resolve_manifest
from regather.client.settings import Settings, transport_options
from regather.errors import UsageError
from regather.limiter import RateLimiter
from regather.names import texts
from regather.reading.fetcher import Fetcher
from regather.reading.file import RemoteFile
from regather.transport import open_connection

CACHE_SIZE = 64 << 20
READ_AHEAD = 32 << 20
_AHEAD_PIECES = 64


def open(
    source: str | Path,
    *,
    servers: Sequence[str | Path] = (),
    digest: str = "",
    settings: Settings | None = None,
    cache_size: int = CACHE_SIZE,
    read_ahead: int = READ_AHEAD,
) -> RemoteFile:
    """Open a hosted file for reading, without downloading it: what is read is fetched.

    ``source`` is a manifest (path or URL); ``servers``, ``digest`` and ``settings`` are those of
    ``download``. At most ``cache_size`` bytes of verified pieces are kept in memory, besides what
    is in flight; at most ``read_ahead`` bytes, and half of the cache, are fetched ahead where the
    file is read in order (0: nothing).

    Raises UsageError, ManifestError, VerificationError, NotEnoughSourcesError or TransportError.
    Close the file, or use it in a ``with`` statement.
    """
    settings = settings or Settings()
    target = resolve(str(source), servers=texts(servers), digest=digest, settings=settings)
    return open_target(target, settings, cache_size=cache_size, read_ahead=read_ahead)


def resolve(
    source: str, *, servers: Sequence[str] = (), digest: str = "", settings: Settings
) -> Target:
    """Read a manifest and find its sources. Raises as ``open`` does."""
    if digest and not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise UsageError(
            f"not a digest: {digest!r}", help="give all 64 hexadecimal digits, as split prints them"
        )
    retries = min(settings.retries, FEW_RETRIES)
    return resolve_manifest(
        source, servers, Asking(transport_options(settings), retries=retries), digest
    )


def open_target(
    target: Target, settings: Settings, *, cache_size: int, read_ahead: int
) -> RemoteFile:
    """Open what was resolved. Raises UsageError."""
    if cache_size < 0 or read_ahead < 0:
        raise UsageError("cache_size and read_ahead must not be negative")
    options = transport_options(settings)
    fetcher = Fetcher(
        target.layout,
        target.sources,
        lambda url: open_connection(url, options),
        connections=settings.connections,
        retries=settings.retries,
        cache_size=cache_size,
        limiter=RateLimiter(settings.limit_rate) if settings.limit_rate else None,
    )
    most = min(read_ahead, cache_size // 2, _AHEAD_PIECES * target.layout.piece_size)
    return RemoteFile(fetcher, target.layout, target.name, target.digest, most)
