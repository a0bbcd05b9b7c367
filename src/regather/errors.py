"""What can go wrong, by whose fault it is.

Every error says what happened and where, and, where there is something to do, what helps. Each
class carries the exit code that the command line ends with, so that the meaning of a failure is
stated once, here. This module imports nothing of the package.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator
from typing import Any, TypeVar

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


IN_PYTHON = {
    **dict.fromkeys(("--sha256", "--blake3", "--checksum"), "checksum"),
    **{
        f"--{name.replace('_', '-')}": name
        for name in (
            "at chunk_size digest dry_run exclude file follow_links force fragments host out "
            "parity piece_size port read_token replicas select servers set_size "
            "sign_with spool survive temp "
            "tls_cert tls_key to write_token"
        ).split()
    },
    "-o": "dest",
    "--fault": "faults",
    "--fragment": "fragments",
    "--mirror": "mirrors",
    "--seed": "seeds",
    "--server": "servers",
    **{
        f"--{name.replace('_', '-')}": f"Settings.{name}"
        for name in (
            "allow_older cacert connections cookies known_hosts no_proxy proxy require_trust "
            "timeout trust"
        ).split()
    },
    "--store-option": "Settings.store_options",
    "--token": "Settings.tokens",
    "--cert": "HostOptions.cert",
    "--key-file": "HostOptions.key",
    "--ftp-tls": "HostOptions.ftp_tls",
    "--ssh-key": "HostOptions.ssh_key",
}
"""What the options that errors speak of are called in Python: the parameters of our functions."""
_OPTION = r"(?<![\w-])(?:--[a-z][a-z0-9-]*|-o\b)"


def is_disk_full(error: OSError) -> bool:
    """Whether the disk, the user's quota or the file system's largest file size is used up."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def reason(error: Exception) -> str:
    """Why something of the system failed, in its words and without its numbers."""
    told = getattr(error, "reason", None)
    if isinstance(told, str):  # of TLS: its text names a line of Python's source
        return told.lower().replace("_", " ")
    return getattr(error, "strerror", None) or str(error)


@contextlib.contextmanager
def system_errors(kind: type[RegatherError], where: object, help: str = "") -> Iterator[None]:
    """Turn errors of the system into an error of this kind: where, and why."""
    try:
        yield
    except OSError as error:
        raise kind(f"{where}: {reason(error).lower()}", help=help or advice(error)) from error


def advice(error: Exception) -> str:
    """What helps where the system refuses a path."""
    number = getattr(error, "errno", None) or 0
    return _HELPS.get(number) or _PATH_HELPS.get(number, _CHECK)


def unusable(path: object, purpose: str, error: Exception) -> UsageError:
    """The error for a file that cannot be read, by what it was given as."""
    why = reason(error).lower()
    return UsageError(f"{path}: not usable as {purpose} ({why})", help=advice(error))


def pem_flaw(error: Exception) -> str:
    """Why a file of certificates or a key was not taken, by the error of open() or ssl for it.

    OpenSSL's own words are kept where they say something; "PEM lib" does not.
    """
    if not hasattr(error, "library"):  # no ssl.SSLError; to import ssl for it takes long
        return reason(error).lower()
    what = getattr(error, "reason", None) or "PEM_LIB"
    if what == "PEM_LIB":
        return "not PEM, of the wrong kind, or encrypted"
    return str(what).lower().replace("_", " ")


def printable(text: str) -> str:
    """``text`` with everything escaped that could move a terminal's cursor or break its line.

    Errors, and what they show, may hold what a server or a manifest says.
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


_HELPS = {
    **dict.fromkeys(
        (errno.EIO, errno.ENODEV, errno.ENXIO),
        "the disk or its file system fails: check it (dmesg), then run the same command again",
    ),
    errno.ESTALE: "the file server has lost the file handle: mount it again, then run the same "
    "command again",
    **dict.fromkeys(
        (errno.EMFILE, errno.ENFILE),
        "raise the limit of open files (ulimit -n), then run the same command again",
    ),
    **dict.fromkeys(
        (errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN),
        "free some memory, then run the same command again",
    ),
    **dict.fromkeys(
        (errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free some space, or choose another place"
    ),
    **dict.fromkeys(
        (errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT),
        "this machine has no such network: use another address",
    ),
}
"""What helps where this machine is at fault and no other command would do."""
_CHECK = "check that it exists, and check its permissions"
_PATH_HELPS = {
    errno.EEXIST: "something else has this name: choose another one",
    errno.EISDIR: "give the name of a file",
    errno.ENOTDIR: "a part of the path is a file: check the path",
    errno.ENAMETOOLONG: "check the path",
}
_MAX_SHOWN_PATH = 300


def shown_path(path: str) -> str:
    """A path as it stands in a message: without its middle, where it is very long."""
    half = _MAX_SHOWN_PATH // 2
    return path if len(path) <= _MAX_SHOWN_PATH else f"{path[:half]}...{path[-half:]}"


def is_fault_here(error: BaseException | None) -> bool:
    """Whether it is the machine that failed, not a name or a permission that was wrong."""
    # The numbers of an ssl.SSLError, which is an OSError, are OpenSSL's own.
    return isinstance(error, OSError) and not hasattr(error, "library") and error.errno in _HELPS


def _is_nowhere() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def of_system(error: OSError, where: str = "") -> RegatherError:
    """The error to tell for any of the operating system; ``where`` in case that it does not say."""
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else where
    path = shown_path(path)
    if error.errno == errno.ENOENT and not path and _is_nowhere():
        return UsageError("the current folder does not exist any more", help="change to another")
    why = (error.strerror or str(error) or type(error).__name__).lower()
    what = f"{path}: {why}" if path else why
    if error.errno == errno.ENAMETOOLONG:
        return UsageError(f"{path}: the name is too long", help=advice(error))
    return StorageError(what, help=advice(error) if path else _HELPS.get(error.errno or 0, ""))


class RegatherError(Exception):
    """The base class of all errors of this package.

    - ``what``: the problem and its place, in one line.
    - ``help``: advice, or empty.
    - ``details``: further lines, one for each source or file concerned, or none.
    - ``exit_code``: the exit code of the command.

    The texts name options of the command line. The string of the error adds their names in Python.
    """

    exit_code = 1
    missing: tuple[str, ...]
    """What is missing, where that is what is wrong: names of fragments, or addresses."""

    @property
    def kind(self) -> str:
        """The name of the public class, for programs."""
        return next(c.__name__ for c in type(self).__mro__ if c.__name__ in __all__)

    def as_dict(self) -> dict[str, object]:
        """The fields of the error, for programs."""
        return {
            "error": self.kind,
            "message": self.what,
            "help": self.help,
            "details": self.details,
            "missing": self.missing,
            "exit_code": self.exit_code,
        }

    def __init__(
        self,
        what: str,
        *,
        help: str = "",
        details: tuple[str, ...] = (),
        missing: tuple[str, ...] = (),
    ) -> None:
        self.missing = missing
        self.what = printable(what)
        self.help = printable(help)
        self.details = tuple(map(printable, details))
        for detail in self.details:
            self.add_note(detail)  # a traceback shows them below the line
        super().__init__(self.line)

    def __reduce__(self) -> tuple[Any, ...]:
        # As exceptions do by themselves, arguments by name would be lost.
        return restored, (type(self), self.__dict__)

    @property
    def line(self) -> str:
        """The problem and the advice, for the command line."""
        return f"{self.what}; {self.help}" if self.help else self.what

    def __str__(self) -> str:
        options = re.findall(_OPTION, self.line)
        names = dict.fromkeys(IN_PYTHON[option] for option in options if option in IN_PYTHON)
        return f"{self.line} (in Python: {', '.join(names)})" if names else self.line


_E = TypeVar("_E", bound=RegatherError)


def restored(kind: type[_E], facts: dict[str, Any]) -> _E:
    """The error of a kind that has these attributes: how they are unpickled."""
    error = kind.__new__(kind)
    error.__dict__.update(facts)
    error.args = (error.line,)
    return error


class UsageError(RegatherError):
    """The call cannot be carried out as given: change the command or the arguments."""

    exit_code = 2


class DestinationExistsError(UsageError):
    """Another file or folder already has the name of the output; it is kept."""

    exit_code = 6
    path = ""
    """The existing name, if known."""
    unsure = False
    """Whether it may be the same file: the size is right, and there is no hash to compare."""


class StorageError(RegatherError):
    """The local disk failed or is full. Verified data is kept."""


class ManifestError(RegatherError):
    """A manifest cannot be trusted: not JSON, a wrong structure, or a contradiction."""

    exit_code = 3


class VerificationError(RegatherError):
    """Data or a digest differs from the expected value."""

    exit_code = 3


class NotEnoughSourcesError(RegatherError):
    """Some data, or its manifest, is not available from any source. Verified data is kept."""

    exit_code = 4


class InterruptedDownload(RegatherError):
    """The user stopped the download. Verified data is kept."""

    exit_code = 130


class InterruptedPublish(RegatherError):
    """The user stopped publishing. Stored fragments are kept and not sent again."""

    exit_code = 130


class NotPlacedError(RegatherError):
    """Some fragments, or the manifest, could not be stored as safely as requested.

    Stored fragments are kept. The same call resumes.
    """


class TransportError(NotEnoughSourcesError):
    """The only source could not be reached, or broke the protocol.

    It is raised for a manifest or a metalink, which has one address.
    """
