"""From what the caller names to an open file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from regather.errors import UsageError
from regather.manifest import Manifest
from regather.names import texts
from regather.reading.file import RemoteFile
from regather.reading.oserrors import as_os_errors
from regather.reading.recipe import CACHE_SIZE, READ_AHEAD, Recipe
from regather.sources.addresses import Address, address_of, base_url
from regather.sources.manifests import DownloadTarget, load_pinned, target_of
from regather.sources.probing import FEW_RETRIES, Prober
from regather.sources.settings import Settings, transport_options


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

    Raises UsageError, ManifestError, VerificationError, NotEnoughSourcesError or TransportError,
    which are OSErrors as well: FileNotFoundError where there is no manifest, PermissionError where
    it is refused, and so on. Close the file, or use it in a ``with`` statement.
    """
    with as_os_errors():
        settings = settings or Settings()
        asking = asking_for(settings)
        address = address_of(str(source))
        manifest, folder = load(address, digest, asking)
        target = target_at(address, manifest, folder, texts(servers), asking)
        return RemoteFile(Recipe(target, settings, cache_size, read_ahead))


def asking_for(settings: Settings) -> Prober:
    """How to ask for manifests. Raises UsageError."""
    return Prober(transport_options(settings), retries=min(settings.retries, FEW_RETRIES))


def load(source: Address, digest: str, asking: Prober) -> tuple[Manifest, str]:
    """Read a manifest; returns it and the base of its folder. Raises as ``open`` does."""
    if digest and not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise UsageError(
            f"not a digest: {digest!r}", help="give all 64 hexadecimal digits that split printed"
        )
    return load_pinned(source, asking, digest)


def target_at(
    source: Address, manifest: Manifest, folder: str, servers: Sequence[str], asking: Prober
) -> DownloadTarget:
    """Where what a manifest describes may be. Raises as ``open`` does."""
    bases = [base_url(server) for server in servers]
    for url in bases:
        asking.check(url)
    return target_of(source, manifest, folder, bases)
