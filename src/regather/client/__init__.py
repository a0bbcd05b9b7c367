"""The client: what a caller names, resolved to sources, downloaded, reported."""

from __future__ import annotations

from regather.client.download import Settings, adownload, download
from regather.client.report import DownloadReport, Progress, SourceProgress, SourceReport

__all__ = [
    "DownloadReport",
    "Progress",
    "Settings",
    "SourceProgress",
    "SourceReport",
    "adownload",
    "download",
]
