"""A folder on this machine as a store."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from regather.errors import reason
from regather.files.atomic import AtomicFile, remove_leftovers
from regather.files.platform import make_folders
from regather.transport.base import Failure, RequestFailed
from regather.transport.local import LocalConnection
from regather.transport.ranges import STEP, read_range
from regather.transport.stores.base import ReadInto, Stat, check_name

_FAILURES = {
    errno.ENOENT: Failure.MISSING,
    errno.ENOTDIR: Failure.MISSING,
    errno.EEXIST: Failure.EXISTS,
    errno.ENOSPC: Failure.NO_SPACE,
    errno.EDQUOT: Failure.NO_SPACE,
    errno.EFBIG: Failure.NO_SPACE,
    errno.EACCES: Failure.FORBIDDEN,
    errno.EPERM: Failure.FORBIDDEN,
    errno.EROFS: Failure.FORBIDDEN,
    errno.EISDIR: Failure.BAD_RESPONSE,
    errno.ENAMETOOLONG: Failure.BAD_RESPONSE,
}


class LocalStore:
    """Files directly in the folder ``base``, a path that ends in a slash; see Store."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._connection = LocalConnection()
        self._aborted = False
        self._swept = False

    def stat(self, name: str) -> Stat | None:
        """See Store.stat."""
        path = self._path(name)
        try:
            status = os.stat(path)
        except OSError as error:
            failed = _failed(path, error)
            if failed.failure is Failure.MISSING:
                return None
            raise failed from None
        if not stat.S_ISREG(status.st_mode):
            raise RequestFailed(Failure.BAD_RESPONSE, f"{path}: not a file")
        return Stat(status.st_size, f"{status.st_mtime_ns}")

    def put(
        self, name: str, size: int, read: ReadInto, blake3: bytes, *, replace: bool = True
    ) -> None:
        """See Store.put."""
        path = self._path(name)
        try:
            make_folders([Path(self._base)])
            if not self._swept:
                remove_leftovers(self._base, deep=False)
                self._swept = True
            folder = os.open(self._base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileExistsError:
            raise RequestFailed(Failure.FORBIDDEN, f"{self._base}: not a folder") from None
        except OSError as error:
            raise _failed(self._base, error) from None
        try:
            if not replace and os.path.lexists(path):  # before all is read; again in the end
                raise RequestFailed(Failure.EXISTS, f"{path}: already exists")
            try:
                incoming = AtomicFile(folder, name)
            except OSError as error:
                raise _failed(path, error) from None
            try:
                self._write(incoming, path, size, read)
                if incoming.digest() != blake3:
                    raise RequestFailed(
                        Failure.DAMAGED, f"{path}: the data does not have the expected hash"
                    )
                try:
                    incoming.sync()
                    incoming.publish(replace=replace)
                except OSError as error:
                    raise _failed(path, error) from None
            finally:
                incoming.discard()
        finally:
            os.close(folder)

    def _write(self, incoming: AtomicFile, path: str, size: int, read: ReadInto) -> None:
        free = os.fstatvfs(incoming.descriptor)
        if size > free.f_bavail * free.f_frsize:
            raise _failed(path, OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
        buffer = memoryview(bytearray(min(size, STEP)))
        at = 0
        while at < size:
            self._look_for_abort()
            into = buffer[: min(len(buffer), size - at)]
            read(at, into)
            try:
                incoming.write(into)
            except OSError as error:
                raise _failed(path, error) from None
            at += len(into)
        self._look_for_abort()

    def delete(self, name: str) -> None:
        """See Store.delete."""
        path = self._path(name)
        try:
            os.unlink(path)
        except OSError as error:
            raise _failed(path, error) from None

    def read(self, name: str, start: int, stop: int) -> Iterator[memoryview]:
        """See Store.read."""
        return read_range(self._connection, self._path(name), start, stop)

    def abort(self) -> None:
        """See Store.abort."""
        self._aborted = True
        self._connection.abort()

    def close(self) -> None:
        """See Store.close."""
        self._connection.close()

    def _path(self, name: str) -> str:
        check_name(name)
        self._look_for_abort()
        return self._base + name

    def _look_for_abort(self) -> None:
        if self._aborted:
            raise RequestFailed(Failure.ABORTED, "aborted")


def _failed(path: str, error: OSError) -> RequestFailed:
    failure = _FAILURES.get(error.errno or 0, Failure.SERVER_ERROR)
    return RequestFailed(failure, f"{path}: {reason(error).lower()}")
