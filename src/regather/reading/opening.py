"""From what the caller names to an open file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from regather.errors import UsageError
from regather.names import texts
from regather.reading.file import RemoteFile
from regather.reading.oserrors import as_os_errors
from regather.reading.recipe import CACHE_SIZE, READ_AHEAD, Recipe
from regather.sources.addresses import Address, address_of, base_urls
from regather.sources.download_target import DownloadTarget
from regather.sources.manifests import LoadedManifest, load_manifest, sources_of, target_of
from regather.sources.probing import FEW_RETRIES, Prober
from regather.sources.settings import Settings, transport_options, trust_rules


def open(
    source: str | Path,
    *,
    servers: Sequence[str | Path] = (),
    digest: str = "",
    settings: Settings | None = None,
    cache_size: int = CACHE_SIZE,
    read_ahead: int = READ_AHEAD,
) -> RemoteFile:
    """Open a hosted file for reading, without downloading it: only data that is read is downloaded.

    - ``source``: a manifest (path or URL).
    - ``servers``, ``digest``, ``settings``: as for ``download``.
    - ``cache_size``: the most bytes of verified pieces in memory, without those in transfer.
    - ``read_ahead``: the number of bytes to download ahead of sequential reads (0: none), limited
      to half of the cache.

    Raises UsageError, ManifestError, VerificationError, NotEnoughSourcesError or TransportError.
    These are also OSErrors: FileNotFoundError if there is no manifest, PermissionError if access
    is refused, and so on. Close the file, or use it in a ``with`` statement.
    """
    with as_os_errors():
        settings = settings or Settings()
        asking = asking_for(settings)
        address = address_of(str(source))
        loaded = load(address, digest, asking)
        target = target_at(address, loaded, texts(servers), asking)
        return RemoteFile(Recipe(target, settings, cache_size, read_ahead))


def asking_for(settings: Settings) -> Prober:
    """How to ask for manifests. Raises UsageError."""
    return Prober(
        transport_options(settings),
        trust_rules(settings),
        retries=min(settings.retries, FEW_RETRIES),
    )


def load(source: Address, digest: str, asking: Prober) -> LoadedManifest:
    """Read a manifest. Raises as ``open`` does."""
    if digest and not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise UsageError(
            f"not a digest: {digest!r}", help="give all 64 hexadecimal digits that split printed"
        )
    return load_manifest(source, asking, digest)


def target_at(
    source: Address, loaded: LoadedManifest, servers: Sequence[str], asking: Prober
) -> DownloadTarget:
    """Where what a manifest describes may be. Raises as ``open`` does."""
    bases = base_urls(servers)
    for url in bases:
        asking.check(url)
    return target_of(source, loaded, sources_of(source, loaded, bases))
