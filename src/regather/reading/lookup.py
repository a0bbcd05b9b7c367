"""Manifests by name, each read once and remembered."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from regather.manifest import Manifest
from regather.reading.opening import asking_for, load, target_at
from regather.reading.oserrors import as_os_errors
from regather.reading.paths import candidates
from regather.sources.addresses import Address, address_of
from regather.sources.download_target import DownloadTarget
from regather.sources.manifests import LoadedManifest
from regather.sources.settings import Settings
from regather.transport import is_url


@dataclass(frozen=True, slots=True)
class Known:
    """A manifest that was read."""

    where: Address
    """Its URL or path."""
    loaded: LoadedManifest
    read: datetime

    @property
    def manifest(self) -> Manifest:
        """What it says."""
        return self.loaded.manifest


class Lookup:
    """What manifests say; any number of threads may ask."""

    def __init__(self, settings: Settings, digest: str, servers: Sequence[str]) -> None:
        """``digest``, where it is not empty, is that of all manifests."""
        self._settings = settings
        self._digest = digest
        self._servers = servers
        self._known: dict[str, Known] = {}
        self._targets: dict[str, DownloadTarget] = {}

    def get(self, path: str) -> Known:
        """What a name stands for. Raises as ``regather.open`` does, all of it OSErrors."""
        found = self._known.get(path)
        if found is None:
            found = self._known[path] = self._find(path)
        return found

    def target(self, path: str) -> DownloadTarget:
        """Where it can be read from. Raises the same."""
        found = self._targets.get(path)
        if found is None:
            known = self.get(path)
            with as_os_errors():
                found = target_at(
                    known.where, known.loaded, self._servers, asking_for(self._settings)
                )
            self._targets[path] = found
        return found

    def forget(self, path: str | None) -> None:
        """Forget a name, or all."""
        for memory in (self._known, self._targets):
            if path is None:
                memory.clear()
            else:
                memory.pop(path, None)

    def _find(self, path: str) -> Known:
        if not is_url(path) and "://" not in path:
            return self._read(_local(path))
        *likely, last = candidates(path)
        for place in likely:
            try:
                return self._read(place)
            except (FileNotFoundError, PermissionError):  # some say the one for the other
                continue
        return self._read(last)

    def _read(self, where: str) -> Known:
        with as_os_errors():
            address = address_of(where)
            loaded = load(address, self._digest, asking_for(self._settings))
        return Known(address, loaded, datetime.now(UTC))


def _local(path: str) -> str:
    """The path of a manifest of this machine. Raises FileNotFoundError or IsADirectoryError."""
    for place in candidates(path):
        if os.path.isfile(place):
            return place
    number = errno.EISDIR if os.path.isdir(path) else errno.ENOENT
    raise OSError(number, os.strerror(number), path)
