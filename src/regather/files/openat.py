"""Work below one folder that never leaves it: names are looked up one by one, through no link.

Whatever stands there already, or is put there meanwhile, a path of ours means what it says.
"""

from __future__ import annotations

import errno
import os
import stat

from regather.names import on_disk

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class NotAFolder(OSError):
    """Something else stands where a folder must be; ``filename`` is its path below the folder."""

    def __init__(self, path: str) -> None:
        super().__init__(errno.ENOTDIR, "is a link or a file, not a folder", path)


class DirHandle:
    """A folder, held open; for one thread at a time. All paths are relative to it."""

    def __init__(self, root: str) -> None:
        """Raises OSError. ``root`` itself may be a link: it is the user who names it."""
        self.descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._last: tuple[str, int] | None = None

    def close(self) -> None:
        """Let it go."""
        descriptor, self.descriptor = self.descriptor, -1
        try:
            self._forget()
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _forget(self) -> None:
        last, self._last = self._last, None
        if last is not None:
            os.close(last[1])

    def folder(self, path: str) -> int:
        """A descriptor of the folder at ``path``, good until the next call ("": the root).

        Raises NotAFolder, FileNotFoundError, OSError.
        """
        if not path:
            return self.descriptor
        if self._last is not None and self._last[0] == path:
            return self._last[1]
        at, current = "", self.descriptor
        try:
            for part in path.split("/"):
                at = f"{at}/{part}" if at else part
                try:
                    inner = os.open(on_disk(part), _FOLDER, dir_fd=current)
                except OSError as error:
                    if error.errno in (errno.ENOTDIR, errno.ELOOP):
                        raise NotAFolder(at) from None
                    raise OSError(error.errno, error.strerror, at) from None
                if current != self.descriptor:
                    os.close(current)
                current = inner
        except BaseException:
            if current != self.descriptor:
                os.close(current)
            raise
        self._forget()
        self._last = (path, current)
        return current

    def anew(self, path: str) -> int:
        """A descriptor of the folder that has this path now, which the caller closes."""
        self._forget()
        return os.dup(self.folder(path))

    def parent(self, path: str) -> tuple[int, str]:
        """A descriptor of the folder that ``path`` is in, as ``folder``, and the last name."""
        above, _, name = path.rpartition("/")
        return self.folder(above), on_disk(name)

    def look(self, path: str) -> os.stat_result | None:
        """What stands there, links not followed; None: nothing. Raises OSError."""
        try:
            folder, name = self.parent(path)
            return os.stat(name, dir_fd=folder, follow_symlinks=False)
        except FileNotFoundError:
            return None

    def open(self, path: str) -> int:
        """Open a regular file to read; raises OSError where it is none."""
        folder, name = self.parent(path)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=folder)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "is not a regular file", path)
        return descriptor

    def make_folder(self, path: str) -> None:
        """Make a folder, unless there is one. Raises NotAFolder, OSError."""
        folder, name = self.parent(path)
        try:
            os.mkdir(name, 0o700, dir_fd=folder)
        except FileExistsError:
            self.folder(path)

    def set_mode(self, path: str, bits: int) -> None:
        """Give a folder its permission bits. Raises OSError."""
        descriptor = self.folder(path)
        if stat.S_IMODE(os.fstat(descriptor).st_mode) != bits:
            os.fchmod(descriptor, bits)

    def open_up(self, path: str) -> None:
        """Let its owner put things into a folder, other than the root. Raises OSError."""
        if path:
            self.set_mode(path, stat.S_IMODE(os.fstat(self.folder(path)).st_mode) | 0o700)
