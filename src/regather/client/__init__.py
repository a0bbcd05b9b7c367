"""The client: what a caller names, resolved to sources, downloaded, reported."""

from __future__ import annotations

from regather.client.report import DownloadReport, Progress, SourceProgress, SourceReport
from regather.client.run import Settings, adownload, download

__all__ = [
    "DownloadReport",
    "Progress",
    "Settings",
    "SourceProgress",
    "SourceReport",
    "adownload",
    "download",
]
