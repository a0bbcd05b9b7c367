"""What is split, as a file: opened, and copied first where its size is not known."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from regather.errors import (
    StorageError,
    UsageError,
    is_fault_here,
    of_system,
    system_errors,
)
from regather.files.platform import size_is_untrue
from regather.names import flaw_of
from regather.splitter.original import Original, changed
from regather.tasks import interrupts_held

_STEP = 1 << 20


def original_of(path: Path, *, follow_links: bool = False) -> Original:
    """Open a file or a folder; ``follow_links``: what links in a folder point to stands for them.

    Raises UsageError.
    """
    if _is_folder(path):
        from regather.splitter.tree import Tree

        return Tree(path, follow_links=follow_links)
    return Input(path)


def _is_folder(path: Path) -> bool:
    """Whether a folder is there; ``os.path.isdir`` takes a disk that fails for none."""
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        if is_fault_here(error):
            raise of_system(error) from None
        return False


class Input(Original):
    """A file, open for reading."""

    def __init__(self, path: Path) -> None:
        """Raises UsageError."""
        with system_errors(UsageError, path):
            self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self._path = path
        self.name = path.name
        try:
            with system_errors(UsageError, path):
                self._begin()
        except BaseException:
            os.close(self._descriptor)
            raise

    def _begin(self) -> None:
        self._before = os.fstat(self._descriptor)
        mode = self._before.st_mode
        flaw = flaw_of(self.name)
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            flaw = (
                "is a pipe, not a regular file" if stat.S_ISFIFO(mode) else "is not a regular file"
            )
        if flaw:
            help = "name a file or a folder"
            if stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode):
                help = "it can be read only once: save its output to a file first"
            raise UsageError(f"{self._path}: {flaw}", help=help)
        self.size = self._before.st_size
        self._copied = size_is_untrue(self._descriptor)
        if stat.S_ISBLK(mode):
            self.size = os.lseek(self._descriptor, 0, os.SEEK_END)
        if self._copied:
            self._copy()

    def _copy(self) -> None:
        """Read the file to its end into one without a name: its size is not known before."""
        with (
            system_errors(
                StorageError,
                f"{self._path}: cannot be copied before it is read",
                "set TMPDIR to a folder with more free space, or copy the file to a disk first",
            ),
            interrupts_held() as interrupts,
            tempfile.TemporaryFile(buffering=0) as copy,
        ):
            self.size = 0
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            while data := os.read(self._descriptor, _STEP):
                self.size += len(data)
                while data:
                    data = data[copy.write(data) :]
                interrupts.check()
            os.dup2(copy.fileno(), self._descriptor, inheritable=False)

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def read(self, offset: int, into: memoryview) -> int:
        """See Original."""
        done = 0  # the system may read a part only
        while done < len(into):
            count = os.preadv(self._descriptor, [into[done:]], offset + done)
            if count == 0:
                break
            done += count
        return done

    def descriptor(self) -> int | None:
        """See Original."""
        return self._descriptor

    def check_unchanged(self, done: str) -> None:
        """See Original."""
        if self._copied:
            return
        now = os.fstat(self._descriptor)
        if (now.st_mtime_ns, now.st_size) != (self._before.st_mtime_ns, self._before.st_size):
            raise changed(self._path, done)
