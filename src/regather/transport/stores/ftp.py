"""What FTP and SFTP servers host, as a store that can only be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from regather.transport.base import Failure, RequestFailed
from regather.transport.curl.file_connection import FileConnection
from regather.transport.options import TransportOptions
from regather.transport.ranges import read_range
from regather.transport.stores.base import ReadInto, Stat, check_name


class HostedFiles:
    """Objects below a base URL; see Store. Nothing can be put there or deleted."""

    def __init__(self, base: str, options: TransportOptions) -> None:
        self._base = base
        self._connection = FileConnection(options)
        self.abort = self._connection.abort
        """See Store.abort."""
        self.close = self._connection.close
        """See Store.close."""

    def stat(self, name: str) -> Stat | None:
        """See Store.stat."""
        try:
            return Stat(*self._connection.probe(self._target(name)))
        except RequestFailed as error:
            if error.failure is Failure.MISSING:
                return None
            raise

    def put(
        self, name: str, size: int, read: ReadInto, blake3: bytes, *, replace: bool = True
    ) -> None:
        """Refuse; see Store.put."""
        raise self._read_only(name)

    def delete(self, name: str) -> None:
        """Refuse; see Store.delete."""
        raise self._read_only(name)

    def read(self, name: str, start: int, stop: int) -> Iterator[memoryview]:
        """See Store.read."""
        return read_range(self._connection, self._target(name), start, stop)

    def _read_only(self, name: str) -> RequestFailed:
        return RequestFailed(
            Failure.FORBIDDEN, f"{self._target(name)}: FTP and SFTP servers can only be read"
        )

    def _target(self, name: str) -> str:
        check_name(name)
        return self._base + quote(name, safe="")
