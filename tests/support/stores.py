"""What the object stores that tests run against have in common."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from obstore.store import AzureStore, GCSStore, S3Store

NAMES = ("swift", "gcs", "azurite")
"""The fixtures."""


def without_stores() -> dict[str, str]:
    """The environment of the tests, less what whoever runs them has set up for stores."""
    ours = ("AWS_", "GOOGLE_", "AZURE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


class ObjectStorage(Protocol):
    """A store that runs on loopback."""

    scheme: str

    @property
    def port(self) -> int:
        """Where it listens."""

    @property
    def options(self) -> dict[str, str]:
        """How to reach it: Settings.store_options."""

    @property
    def refused(self) -> dict[str, str]:
        """The same with credentials that it does not take."""

    def at(self, port: int) -> dict[str, str]:
        """The options that differ where it is reached at another port."""

    def environment(self, folder: Path) -> dict[str, str]:
        """How commands reach it; ``folder`` is for files that they need."""

    def bucket(self) -> str:
        """Make a new bucket, or container."""

    def client(self, bucket: str) -> S3Store | GCSStore | AzureStore:
        """obstore itself, without anything of ours."""
