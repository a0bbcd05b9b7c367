"""What is served: a folder or one file, and how a request's path finds a file in it.

Nothing outside the folder can be reached: names are checked one by one after decoding, and a
path is served only if, with all links followed, it still lies in the folder.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from urllib.parse import unquote_to_bytes

from regather.errors import RegatherError, UsageError

__all__ = ["OpenFile", "Root"]

_LATEST = 253402300799
"""The last second, since 1970, that an HTTP date can express."""
_MAX_LISTED = 1000
_PARTIAL = ".regather-part"


@dataclass(frozen=True, slots=True)
class OpenFile:
    """A file opened for one response; whoever got it closes ``descriptor``."""

    name: str
    descriptor: int
    size: int
    """Bytes."""
    modified_ns: int

    @property
    def tag(self) -> str:
        """The entity tag, without its quotes: equal for copies that kept their time."""
        return f"{self.modified_ns:x}-{self.size:x}"

    @property
    def modified(self) -> int:
        """Whole seconds since 1970, within what HTTP can say."""
        return min(max(self.modified_ns // 10**9, 0), _LATEST)

    @property
    def last_modified(self) -> str:
        """The modification time as an HTTP date."""
        return formatdate(self.modified, usegmt=True)

    @property
    def content_type(self) -> str:
        """JSON for manifests; everything else is bytes, lest a browser run what it is sent."""
        return "application/json" if self.name.endswith(".json") else "application/octet-stream"

    def close(self) -> None:
        """Close the file."""
        os.close(self.descriptor)


class Root:
    """A folder, or a single file that is served as ``/`` and under its own name.

    Raises UsageError where ``path`` does not exist or is neither, and RegatherError where it
    may not be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._real = os.path.realpath(path)
        try:
            mode = os.stat(self._real).st_mode
            if stat.S_ISDIR(mode):
                os.scandir(self._real).close()
            elif stat.S_ISREG(mode):
                os.close(os.open(self._real, os.O_RDONLY))
            else:
                raise UsageError(f"cannot serve {path}: it is neither a folder nor a file")
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(
                f"cannot serve {path}: no such file or folder", help="check the path"
            ) from None
        except OSError as error:
            raise RegatherError(
                f"cannot serve {path}: {error.strerror}", help="check its permissions"
            ) from error
        self.is_file = stat.S_ISREG(mode)
        self._inside = os.path.join(self._real, "")

    def open(self, target: str) -> OpenFile:
        """Open what the path of a request names (as sent: percent-encoded, without the query).

        Raises FileNotFoundError for everything that is not served, whatever the reason, and other
        OSErrors as they come.
        """
        names = _names(target)
        if self.is_file:
            own = os.path.basename(os.path.abspath(self.path))
            if names not in ([], [own]):
                raise FileNotFoundError
            return _open(self._real, own)
        if not names or any(_withheld(name) for name in names):
            raise FileNotFoundError
        real = os.path.realpath(os.path.join(self._real, *names))
        if not real.startswith(self._inside):
            raise FileNotFoundError
        return _open(real, names[-1])

    def listing(self) -> str:
        """Names of the files directly in the folder, links aside, one a line, at most 1000.

        Raises OSError where the folder cannot be read any more.
        """
        with os.scandir(self._real) as entries:
            names = sorted(
                entry.name
                for entry in entries
                if entry.is_file(follow_symlinks=False)
                and entry.name.isprintable()
                and not _withheld(entry.name)
            )
        return "".join(f"{name}\n" for name in names[:_MAX_LISTED])


def _names(target: str) -> list[str]:
    """Decode the path of a request into its names; raise FileNotFoundError where one is unfit."""
    if not target.startswith("/"):
        raise FileNotFoundError
    if target == "/":
        return []
    names = []
    for encoded in target[1:].split("/"):
        raw = unquote_to_bytes(encoded.encode("utf-8", "surrogateescape"))
        if raw in (b"", b".", b"..") or b"/" in raw or b"\0" in raw:
            raise FileNotFoundError
        names.append(os.fsdecode(raw))
    return names


def _withheld(name: str) -> bool:
    """Whether a name is never served: hidden, or an unfinished download."""
    return name.startswith(".") or _PARTIAL in name


def _open(real: str, name: str) -> OpenFile:
    # A path without links was checked: O_NOFOLLOW refuses one that has become a link since.
    # O_NONBLOCK: opening a pipe must not wait for its writer.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(real, flags)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError
    except BaseException:
        os.close(descriptor)
        raise
    return OpenFile(name, descriptor, status.st_size, status.st_mtime_ns)
