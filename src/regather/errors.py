"""What can go wrong, by whose fault it is.

Every error says what happened and where, and, where there is something to do, what helps. Each
class carries the exit code that the command line ends with, so that the meaning of a failure is
stated once, here. This module imports nothing of the package.
"""

from __future__ import annotations

__all__ = [
    "DestinationExistsError",
    "InterruptedDownload",
    "InterruptedPublish",
    "ManifestError",
    "NotEnoughSourcesError",
    "NotPlacedError",
    "RegatherError",
    "StorageError",
    "TransportError",
    "UsageError",
    "VerificationError",
]


class RegatherError(Exception):
    """Base of all errors that the package raises on purpose.

    ``what`` says what happened and where, in one line; ``help`` what to do next, or is empty;
    ``details`` are further lines, one for each thing concerned, or none.
    ``exit_code`` is what the command ends with.
    """

    exit_code = 1

    def __init__(self, what: str, *, help: str = "", details: tuple[str, ...] = ()) -> None:
        self.what = what
        self.help = help
        self.details = details
        super().__init__(f"{what}; {help}" if help else what)


class UsageError(RegatherError):
    """The call cannot be carried out as given: change the command or the arguments."""

    exit_code = 2


class DestinationExistsError(UsageError):
    """Something already stands under the name that was to be written; it is left as it is."""


class StorageError(RegatherError):
    """The local disk failed or is full. What was verified so far is kept."""


class ManifestError(RegatherError):
    """A manifest cannot be trusted: not JSON, the wrong shape, or contradicting itself."""

    exit_code = 3


class VerificationError(RegatherError):
    """Bytes or a digest are not what they had to be."""

    exit_code = 3


class NotEnoughSourcesError(RegatherError):
    """Some fragments could be had from no source. What was verified so far is kept."""

    exit_code = 4

    def __init__(
        self,
        what: str,
        *,
        help: str = "",
        details: tuple[str, ...] = (),
        missing: tuple[str, ...] = (),
    ) -> None:
        self.missing = missing
        """Names of the fragments that are missing."""
        super().__init__(what, help=help, details=details)


class InterruptedDownload(RegatherError):
    """The user stopped the download. What was verified so far is kept."""

    exit_code = 130


class InterruptedPublish(RegatherError):
    """The user stopped publishing. What was stored stays, and is not sent again."""

    exit_code = 130


class NotPlacedError(RegatherError):
    """Some fragments, or the manifest, could not be stored as safely as was asked for.

    What was stored stays; the same call goes on from there.
    """

    def __init__(
        self,
        what: str,
        *,
        help: str = "",
        details: tuple[str, ...] = (),
        missing: tuple[str, ...] = (),
    ) -> None:
        self.missing = missing
        """Names of the fragments that are not placed as they should be."""
        super().__init__(what, help=help, details=details)


class TransportError(RegatherError):
    """A source could not be reached or did not keep to the protocol."""
