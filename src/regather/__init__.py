"""Regather: one large file, or a folder, from several servers at once, verified and resumable.

    import regather

    regather.split("big.iso", "out", servers=3, replicas=2)
    report = regather.download("out/big.iso.regather.json", "copy.iso", servers=[...])

Everything that may be used is named here and imported when it is first used, so that
``import regather`` costs nothing. Nothing else of the package is public.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from regather._version import __version__

if TYPE_CHECKING:
    from regather.downloader import (
        DownloadReport,
        Progress,
        Settings,
        SourceProgress,
        SourceReport,
        adownload,
        download,
    )
    from regather.downloader.api import astream, stream
    from regather.downloader.verified_stream import VerifiedStream
    from regather.errors import (
        DestinationExistsError,
        InterruptedDownload,
        InterruptedPublish,
        ManifestError,
        NotEnoughSourcesError,
        NotPlacedError,
        RegatherError,
        StorageError,
        TransportError,
        UsageError,
        VerificationError,
    )
    from regather.exporter import export_metalink
    from regather.folder import Folder, FolderEntry
    from regather.generator import generate
    from regather.manifest import Manifest
    from regather.publisher import PublishReport, TargetReport, publish
    from regather.reading import RemoteFile, open
    from regather.server.serving import serve
    from regather.sources.signing import sign
    from regather.splitter import split
    from regather.transport import HostOptions
    from regather.trust.secret_key import SecretKey
    from regather.upkeep.inspection import check
    from regather.upkeep.report import CheckReport, RepairReport
    from regather.upkeep.restoration import repair

_HOMES = {
    "downloader": "DownloadReport Progress Settings SourceProgress SourceReport adownload download",
    "downloader.api": "astream stream",
    "downloader.verified_stream": "VerifiedStream",
    "errors": "DestinationExistsError InterruptedDownload InterruptedPublish ManifestError "
    "NotEnoughSourcesError NotPlacedError RegatherError StorageError TransportError UsageError "
    "VerificationError",
    "exporter": "export_metalink",
    "folder": "Folder FolderEntry",
    "generator": "generate",
    "manifest": "Manifest",
    "publisher": "PublishReport TargetReport publish",
    "reading": "RemoteFile open",
    "server.serving": "serve",
    "sources.signing": "sign",
    "splitter": "split",
    "transport": "HostOptions",
    "trust.secret_key": "SecretKey",
    "upkeep.inspection": "check",
    "upkeep.report": "CheckReport RepairReport",
    "upkeep.restoration": "repair",
}
"""By module: what of it is named here."""
_HOME_OF = {name: f"regather.{home}" for home, names in _HOMES.items() for name in names.split()}

__all__ = [
    "CheckReport",
    "DestinationExistsError",
    "DownloadReport",
    "Folder",
    "FolderEntry",
    "HostOptions",
    "InterruptedDownload",
    "InterruptedPublish",
    "Manifest",
    "ManifestError",
    "NotEnoughSourcesError",
    "NotPlacedError",
    "Progress",
    "PublishReport",
    "RegatherError",
    "RemoteFile",
    "RepairReport",
    "SecretKey",
    "Settings",
    "SourceProgress",
    "SourceReport",
    "StorageError",
    "TargetReport",
    "TransportError",
    "UsageError",
    "VerificationError",
    "VerifiedStream",
    "__version__",
    "adownload",
    "astream",
    "check",
    "download",
    "export_metalink",
    "generate",
    "open",
    "publish",
    "repair",
    "serve",
    "sign",
    "split",
    "stream",
]


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'regather' has no attribute {name!r}")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
