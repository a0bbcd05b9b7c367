"""What is served: a folder or one file, and how a request's path finds a file in it.

Nothing outside the folder can be reached: names are checked one by one after decoding, and a
path is served only if, with all links followed, it still lies in the folder.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote_to_bytes

from regather.errors import RegatherError, UsageError
from regather.files.atomic import PREFIX, remove_leftovers
from regather.names import flaw_of
from regather.server.body import Outlet
from regather.server.content import Content
from regather.server.listing import Listing
from regather.server.places import Folders, WritePlace
from regather.server.preconditions import Version
from regather.server.usage import Usage

_LINK = (errno.ELOOP, errno.ENOTDIR)
"""What opening tells of a link on the way that is not to be followed."""
_MAX_PATH = 4096
"""Bytes, as in Linux: no path of a file can be longer."""
_MAX_DEPTH = 16
"""Folders, one in the other, that are made for a file."""
_PARTIAL = ".regather-part"
_SHOWN = 60
"""Letters of a path that is told although it is too long."""


class UnfitName(Exception):
    """A path under which nothing may be stored; the text says why."""


@dataclass
class OpenFile(Content):
    """A file opened for one response; whoever got it closes ``descriptor``."""

    name: str
    descriptor: int
    version: Version

    async def send(self, outlet: Outlet, start: int, stop: int) -> None:
        """See Content.send."""
        await outlet.send_file(self.descriptor, start, stop - start)

    async def byte(self, at: int) -> bytes:
        """See Content.byte."""
        return os.pread(self.descriptor, 1, at)

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
        try:
            self._real = os.path.realpath(path)
            mode = os.stat(self._real).st_mode
            if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
                raise UsageError(f"cannot serve {path}: it is neither a folder nor a file")
            self.is_file = stat.S_ISREG(mode)
            self.check()
        except (FileNotFoundError, NotADirectoryError):
            raise UsageError(
                f"cannot serve {path}: no such file or folder", help="check the path"
            ) from None
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                shown = os.fspath(path)[:_SHOWN]
                raise UsageError(
                    f"cannot serve {shown}...: the name is too long",
                    help="check the path",
                ) from None
            raise RegatherError(
                f"cannot serve {path}: {error.strerror}", help="check its permissions"
            ) from error
        self._inside = os.path.join(self._real, "")
        self._folders = Folders(self._real)

    def check(self) -> None:
        """Raise OSError where the folder or file cannot be read now."""
        if self.is_file:
            os.close(os.open(self._real, os.O_RDONLY | os.O_NONBLOCK))
        else:
            os.scandir(self._real).close()

    def open(self, target: str) -> OpenFile:
        """Open what the path of a request names (as sent: percent-encoded, without the query).

        Raises FileNotFoundError for everything that is not served, whatever the reason, and other
        OSErrors as they come.
        """
        names = decoded_names(target)
        if self.is_file:
            own = os.path.basename(os.path.abspath(self.path))
            if names not in ([], [own]):
                raise FileNotFoundError
            return _open(self._real, own)
        if not names or any(_withheld(name) for name in names):
            raise FileNotFoundError
        try:
            return self._open_below(names, names[-1])
        except OSError as error:
            if error.errno not in _LINK:
                raise
        # A link, or a file in place of a folder. A path without links is looked for and checked,
        # and walked like any other: whoever may rename folders in here cannot lead us anywhere.
        path = os.path.join(self._real, *names)
        if len(os.fsencode(path)) > _MAX_PATH:  # to look for links in it takes quadratic time
            raise FileNotFoundError
        real = os.path.realpath(path)
        if not real.startswith(self._inside):
            raise FileNotFoundError
        return self._open_below(real[len(self._inside) :].split(os.sep), names[-1])

    def _open_below(self, path: Sequence[str], name: str) -> OpenFile:
        """Open a file through folders none of which is a link, to be served under ``name``."""
        with _walked(self._real, path[:-1]) as folder:
            return _open(path[-1], name, folder)

    def place(self, target: str, *, make: bool) -> WritePlace:
        """Find where the file that a request's path names may be written or removed.

        With ``make`` missing folders are made. No link is followed, not even one that stays
        inside. Raises UnfitName, FileNotFoundError, NotADirectoryError (a link or a file in
        place of a folder) and other OSErrors.
        """
        try:
            names = decoded_names(target)
        except FileNotFoundError:
            raise UnfitName(
                "the path contains an empty name, a folder reference or a slash"
            ) from None
        if not names:
            raise UnfitName("the path is not a file")
        if len(names) > _MAX_DEPTH + 1:
            raise UnfitName(f"the path is more than {_MAX_DEPTH} folders deep")
        for name in names:
            if flaw := flaw_of(name):
                raise UnfitName(f"a name {flaw}")
            if _withheld(name):
                raise UnfitName(
                    "names that begin with a dot or contain .regather-part are not served"
                )
        if names[0] == "-":
            raise UnfitName("paths below /-/ are reserved for the server")
        return self._folders.place(names, make=make)

    def usage(self) -> Usage:
        """Bytes in all files of the folder and its sub-folders, save those that are coming in."""
        return Usage(self._real, but=PREFIX)

    def listing(self) -> Listing:
        """Names of the files directly in the folder."""
        return Listing(self._real, lambda name: not _withheld(name))

    def remove_leftovers(self) -> int:
        """Remove what killed servers left of files that were coming in; tell how many."""
        return remove_leftovers(self._real)


def decoded_names(target: str) -> list[str]:
    """Decode the path of a request into its names; raise FileNotFoundError where one is unfit.

    A plain ``.`` says nothing (RFC 3986, 6.2.2.3): apt asks a flat repository for ``/./Packages``.
    """
    if not target.startswith("/"):
        raise FileNotFoundError
    if target == "/":
        return []
    names = []
    for encoded in target[1:].split("/"):
        if encoded == ".":
            continue
        raw = unquote_to_bytes(encoded.encode("utf-8", "surrogateescape"))
        if raw in (b"", b".", b"..") or b"/" in raw or b"\0" in raw:
            raise FileNotFoundError
        names.append(os.fsdecode(raw))
    return names


def _withheld(name: str) -> bool:
    """Whether a name is never served: hidden, or an unfinished download."""
    return name.startswith(".") or _PARTIAL in name


@contextlib.contextmanager
def _walked(root: str, names: Sequence[str]) -> Iterator[int]:
    """A descriptor of a folder below ``root``; raises OSError where there is a link on the way."""
    flags = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_CLOEXEC
    folder = os.open(root, flags)
    try:
        for name in names:
            inner = os.open(name, flags | os.O_NOFOLLOW, dir_fd=folder)
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _open(real: str, name: str, folder: int | None = None) -> OpenFile:
    # O_NOFOLLOW refuses what has become a link since it was looked at.
    # O_NONBLOCK: opening a pipe must not wait for its writer.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    descriptor = os.open(real, flags, dir_fd=folder)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise FileNotFoundError
    except BaseException:
        os.close(descriptor)
        raise
    return OpenFile(name, descriptor, Version(status.st_mtime_ns, status.st_size))
