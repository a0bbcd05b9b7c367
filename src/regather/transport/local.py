"""A folder or file on this machine as a source."""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from regather.files.platform import UNTRUE_SIZE, size_is_untrue
from regather.transport.base import Failure, Look, RequestFailed
from regather.units import counted

_MISSING = frozenset((errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG))


class LocalConnection:
    """Reads ranges of local files; ``target`` is a path."""

    def __init__(self) -> None:
        self._descriptor = -1
        self._target = ""
        self._at = 0
        self._stop = 0
        self._aborted = False

    def request(
        self, target: str, start: int, stop: int, size: int | None, validator: str = ""
    ) -> bool:
        """See Connection.request."""
        self._aborted = False
        try:
            if self._target != target or self._descriptor < 0:
                self.close()
                self._descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
                self._target = target
            actual = os.fstat(self._descriptor).st_size
        except OSError as error:
            kind = Failure.MISSING if error.errno in _MISSING else Failure.FORBIDDEN
            raise RequestFailed(kind, f"{target}: {error.strerror}") from None
        if (size is not None and actual != size) or actual < stop:
            self.close()
            wanted = stop if size is None else size
            raise RequestFailed(
                Failure.BAD_RESPONSE, f"{target}: has {counted(actual, 'byte')}, must have {wanted}"
            )
        self._at, self._stop = start, stop
        return True

    def look(self, target: str, count: int) -> Look:
        """Size, time and the first ``count`` bytes of a file. Raises RequestFailed."""
        self.request(target, 0, 0, None)
        status = os.fstat(self._descriptor)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise RequestFailed(Failure.BAD_RESPONSE, f"{target}: not a file")
        try:
            untrue = size_is_untrue(self._descriptor)
            start = os.pread(self._descriptor, count, 0)
        except OSError as error:
            self.close()
            raise RequestFailed(Failure.FORBIDDEN, f"{target}: {error.strerror}") from None
        if untrue:
            self.close()
            raise RequestFailed(Failure.BAD_RESPONSE, f"{target}: {UNTRUE_SIZE}")
        return Look(status.st_size, f"{status.st_mtime_ns}", start, ranged=True)

    def probe(self, target: str, *, verified: bool = False) -> tuple[int, str]:
        """See Askable.probe."""
        found = self.look(target, 0)
        assert found.size is not None
        return found.size, found.validator

    def fetch(self, target: str, limit: int) -> tuple[bytes, str]:
        """See Askable.fetch."""
        found = self.look(target, limit + 1)
        if len(found.start) > limit:
            raise RequestFailed(Failure.TOO_LARGE, f"{target}: larger than {limit} bytes")
        return found.start, target

    def ahead(self, target: str, start: int, stop: int, validator: str = "") -> None:
        """See Connection.ahead: nothing to gain here."""

    def receive(self, into: memoryview) -> int:
        """See Connection.receive."""
        if self._aborted:
            raise RequestFailed(Failure.ABORTED, "aborted")
        want = min(len(into), self._stop - self._at)
        try:
            count = os.preadv(self._descriptor, [into[:want]], self._at)
        except OSError as error:
            self.close()
            raise RequestFailed(Failure.RESET, f"{self._target}: {error.strerror}") from None
        if count == 0 and want:
            self.close()
            raise RequestFailed(Failure.TRUNCATED, f"{self._target}: was truncated")
        self._at += count
        return count

    def finish(self) -> None:
        """See Connection.finish."""

    def abort(self) -> None:
        """See Connection.abort."""
        self._aborted = True

    def close(self) -> None:
        """See Connection.close."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def forsake(self) -> None:
        """See Connection.forsake."""
        self.close()
