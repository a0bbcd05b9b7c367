"""The error for a file that is whole and is not the one that was asked for."""

from __future__ import annotations

from collections.abc import Mapping

from regather.errors import VerificationError


class WrongFile(VerificationError):
    """The file is whole and has another hash than it must have; nothing is kept of it."""

    def __init__(self, what: str, found: Mapping[str, str]) -> None:
        """``found`` says what is wrong with each source, by URL."""
        self.found = found
        super().__init__(
            what,
            help="check the checksum, and check that the sources have the same version",
            details=tuple(f"{url}: {wrong}" for url, wrong in found.items()),
        )
