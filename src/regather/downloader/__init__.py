"""The client: what a caller names, resolved to sources, downloaded, reported."""

from __future__ import annotations

from regather.downloader.api import adownload, download
from regather.downloader.report import DownloadReport, Progress, SourceProgress, SourceReport
from regather.sources.settings import Settings

__all__ = [
    "DownloadReport",
    "Progress",
    "Settings",
    "SourceProgress",
    "SourceReport",
    "adownload",
    "download",
]
