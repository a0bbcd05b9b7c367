"""A file that is received whole before it is given in order: what only a checksum verifies."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from regather.errors import RegatherError
from regather.model import Layout
from regather.store.destination import Destination
from regather.store.slots import spool_trouble


class SpooledFile(Destination):
    """A destination that never gets a name, and is read in order when it is whole."""

    lasting = False

    def __init__(self, name: str, layout: Layout, identity: bytes) -> None:
        """Claim the room in the folder for temporary files. Raises StorageError."""
        try:
            folder = tempfile.mkdtemp(prefix="regather-spool-")
        except OSError as error:
            raise spool_trouble(error, layout.size) from error
        try:
            super().__init__(Path(folder, name), layout, identity)
        finally:  # what is open stays, until the process ends, however that happens
            shutil.rmtree(folder, ignore_errors=True)

    def _trouble(self, error: OSError) -> RegatherError:
        return spool_trouble(error, self.layout.size)

    def finish(self, *, sync: bool = True) -> tuple[str, ...]:
        """It is whole: it can be read from now on."""
        return ()
