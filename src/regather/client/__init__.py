"""The client: what a caller names, resolved to sources, downloaded, reported."""

from __future__ import annotations

from regather.client.report import DownloadReport, Progress, SourceProgress, SourceReport
from regather.client.run import adownload, download
from regather.client.settings import Settings

__all__ = [
    "DownloadReport",
    "Progress",
    "Settings",
    "SourceProgress",
    "SourceReport",
    "adownload",
    "download",
]
