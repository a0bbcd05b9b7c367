"""Objects of FTP and SFTP servers: ranges, sizes, dates and small documents."""

from __future__ import annotations

import re
from email.utils import formatdate
from typing import Any

from regather.transport.base import Failure, Look, RequestFailed
from regather.transport.curl import INSTALL, available, library
from regather.transport.curl.access import Access
from regather.transport.curl.address import split_target
from regather.transport.curl.failures import Trouble
from regather.transport.curl.replies import explained, knows_no_ranges
from regather.transport.curl.transfer import Transfer
from regather.transport.options import TransportOptions
from regather.transport.reading import STEP
from regather.units import MAX_SIZE

_CHEAP_TO_DRAIN = 256 << 10
_SIZE = re.compile(rb"213 ([0-9]{1,19})\s*")
_ACCEPTED = (b"125", b"150")
"""Replies of FTP after which the body comes."""


class FileConnection:
    """One connection to an FTP or SFTP server.

    FTP can end a transfer early only by breaking it off, and servers and libcurl give up the
    connection then: each range that does not reach to the end of the file costs a new login.
    """

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._made: Transfer | None = None
        self._access: Access | None = None
        self._aborted = False
        self._target = ""
        self._left = 0
        self._known: tuple[str, int, int] | None = None
        """URL, size in bytes and time (since 1970, -1: not told) of an SFTP object."""

    # -- what every transport does --------------------------------------------------------

    def request(
        self, target: str, start: int, stop: int, size: int | None, validator: str = ""
    ) -> bool:
        """See Connection.request."""
        if self._scheme(target) == "sftp" and (self._known is None or self._known[0] != target):
            self._look_at(target)
        if start >= stop:
            there, time = self._look_at(target)
            self._check(there, time, stop, size, validator)
            self._left = 0
            return True
        try:
            # Without an end there is nothing to break off.
            self._begin(target, f"{start}-" if stop == size else f"{start}-{stop - 1}")
            ranged = True
        except _NoRanges:
            self._begin(target, "")
            ranged = False
        time = self._transfer.info("INFO_FILETIME")
        if self._known is not None and self._known[0] == target:
            actual: int | None = self._known[1]
            if time != self._known[2]:
                self._known = None
                raise self._fail(Failure.CHANGED, "changed on the server meanwhile")
        else:
            actual = self._told_size(time)
        self._check(actual, time, stop, size, validator)
        whole = size if actual is None else actual
        if not ranged and whole is None:
            raise self._fail(Failure.BAD_RESPONSE, "the server does not tell its size")
        self._left = stop - start if ranged else (whole or 0)
        return ranged

    def ahead(self, target: str, start: int, stop: int, validator: str = "") -> None:
        """See Connection.ahead: neither FTP nor libcurl's SFTP can do that."""

    def receive(self, into: memoryview) -> int:
        """See Connection.receive."""
        transfer = self._transfer
        wanted = min(len(into), self._left)
        if not wanted:
            return 0
        try:
            count = transfer.receive(into[:wanted])
        except RequestFailed as error:
            raise self._fail(error.failure, error.what) from None
        if not count and transfer.ended:
            if transfer.trouble is not None:
                raise self._troubled(transfer.trouble)
            raise self._fail(Failure.TRUNCATED, "the body ended too early")
        self._left -= count
        return count

    def finish(self) -> None:
        """See Connection.finish."""
        if self._made is None:
            return
        if 0 < self._left <= _CHEAP_TO_DRAIN:
            scratch = memoryview(bytearray(self._left))
            try:
                while self._left and self.receive(scratch):
                    pass
            except RequestFailed:
                return
        self._transfer.finish(whole=not self._left)
        self._left = 0

    def abort(self) -> None:
        """See Connection.abort."""
        self._aborted = True
        if self._made is not None:
            self._made.abort()

    def close(self) -> None:
        """See Connection.close."""
        made, self._made = self._made, None
        self._known = None
        self._left = 0
        if made is not None:
            made.close()

    # -- small things ---------------------------------------------------------------------

    def probe(self, target: str) -> tuple[int, str]:
        """Size in bytes and validator of an object. Raises RequestFailed."""
        size, time = self._look_at(target)
        return size, _validator(time)

    def look(self, target: str, count: int) -> Look:
        """Size, date and the first ``count`` bytes of an object. Raises RequestFailed."""
        size, time = self._look_at(target)
        ranged = self._scheme(target) == "sftp" or any(
            line.startswith(b"350") for line in self._transfer.lines
        )
        count = min(count, size)
        return Look(
            size,
            _validator(time),
            self._read(target, count, size),
            ranged,
            formatdate(time, usegmt=True) if time >= 0 else "",
        )

    def fetch(self, target: str, limit: int) -> tuple[bytes, str]:
        """Fetch a small object whole; returns (bytes, its URL).

        Raises RequestFailed where it has more than ``limit`` bytes or cannot be had.
        """
        size, _ = self._look_at(target)
        if size > limit:
            raise self._fail(Failure.BAD_RESPONSE, f"larger than {limit} bytes")
        return self._read(target, size, size), target

    def _read(self, target: str, count: int, size: int) -> bytes:
        data = bytearray()
        if count:
            self.request(target, 0, count, size)
            buffer = memoryview(bytearray(min(count, STEP)))
            while len(data) < count:
                got = self.receive(buffer[: count - len(data)])
                data += buffer[:got]
            self.finish()
        return bytes(data)

    # -- asking ---------------------------------------------------------------------------

    @property
    def _transfer(self) -> Transfer:
        if self._made is None:
            if not available():
                raise self._fail(Failure.FORBIDDEN, f"needs libcurl: {INSTALL}")
            self._made = Transfer(library("this address"), self._options)
            if self._aborted:
                self._made.abort()
        return self._made

    def _scheme(self, target: str) -> str:
        self._target = target
        return split_target(target)[0][0]

    def _begin(self, target: str, range_: str, *, body: bool = True) -> None:
        """Start a transfer; return when its body begins, or it has ended well.

        Raises _NoRanges where the server cannot begin in the middle, and RequestFailed.
        """
        self._target = target
        origin, user, path = split_target(target)
        if path.endswith("/"):  # libcurl would make a list of it
            raise self._fail(Failure.BAD_RESPONSE, "a folder, not a file")
        transfer = self._transfer
        access = self._access = Access(origin, user, self._options)

        def configure(easy: Any) -> None:
            import pycurl

            scheme, host, port = origin
            name = f"[{host}]" if ":" in host else host.encode("idna").decode()
            easy.setopt(pycurl.URL, f"{scheme}://{name}:{port}{path}")
            easy.setopt(pycurl.PROTOCOLS, getattr(pycurl, f"PROTO_{scheme.upper()}"))
            easy.setopt(pycurl.OPT_FILETIME, 1)
            easy.setopt(pycurl.FTP_FILEMETHOD, pycurl.FTPMETHOD_NOCWD)
            if range_:
                easy.setopt(pycurl.RANGE, range_)
            if not body:
                easy.setopt(pycurl.NOBODY, 1)
            access.configure(easy)

        transfer.begin(configure)
        lines = transfer.lines
        looked = 0

        def accepted() -> bool:
            nonlocal looked
            new, looked = lines[looked:], len(lines)
            return body and any(line.startswith(_ACCEPTED) for line in new)

        try:
            transfer.until(accepted)
        except RequestFailed as error:
            raise self._fail(error.failure, error.what) from None
        while not body and not transfer.ended:  # it writes something like a head
            self._receive_nothing(transfer)
        if transfer.trouble is not None:
            if range_ and knows_no_ranges(transfer.trouble, transfer.lines):
                raise _NoRanges
            raise self._troubled(transfer.trouble)

    def _receive_nothing(self, transfer: Transfer) -> None:
        try:
            transfer.receive(memoryview(bytearray(4096)))
        except RequestFailed as error:
            raise self._fail(error.failure, error.what) from None

    def _look_at(self, target: str) -> tuple[int, int]:
        """Ask for the size, in bytes, and the time, in seconds since 1970 or -1, of an object."""
        scheme = self._scheme(target)
        self._begin(target, "", body=False)
        transfer = self._transfer
        time = transfer.info("INFO_FILETIME")
        size: int | None = int(transfer.info("CONTENT_LENGTH_DOWNLOAD_T"))
        lines = transfer.lines
        transfer.finish(whole=True)
        if size is not None and size < 0:
            size = self._size_of_empty(target) if scheme == "sftp" else None
        if size is None or size > MAX_SIZE:
            raise self._fail(Failure.BAD_RESPONSE, "the server does not tell its size")
        transfer.lines = lines
        if scheme == "sftp":
            self._known = target, size, time
        return size, time

    def _size_of_empty(self, target: str) -> int | None:
        """0 where an object of which libcurl tells no size is empty, None where it is not."""
        self._begin(target, "")
        empty = self._transfer.ended
        self._transfer.finish(whole=empty)
        return 0 if empty else None

    def _told_size(self, time: int) -> int | None:
        """What an FTP server said in this transfer; its reply to MDTM looks much like a size."""
        told = [line for line in self._transfer.lines if line.startswith(b"213 ")]
        if time >= 0:
            told = told[1:]
        match = _SIZE.fullmatch(told[-1]) if told else None
        return int(match[1]) if match else None

    def _check(
        self,
        actual: int | None,
        time: int,
        stop: int,
        size: int | None,
        validator: str,
    ) -> None:
        told = _validator(time)
        if validator and told and told != validator:
            raise self._fail(Failure.CHANGED, "changed on the server meanwhile")
        if actual is not None and ((size is not None and actual != size) or actual < stop):
            wanted = stop if size is None else size
            self._known = None
            raise self._fail(Failure.BAD_RESPONSE, f"has {actual} bytes, must have {wanted}")

    # -- failing --------------------------------------------------------------------------

    def _fail(self, failure: Failure, detail: str) -> RequestFailed:
        target = self._target
        self.close()
        if self._aborted:
            return RequestFailed(Failure.ABORTED, "aborted")
        return RequestFailed(failure, f"{target}: {detail}")

    def _troubled(self, trouble: Trouble) -> RequestFailed:
        assert self._access is not None
        failure, detail = explained(trouble, self._transfer.lines, self._access)
        return self._fail(failure, detail)


class _NoRanges(Exception):
    """The server cannot begin in the middle of a file."""


def _validator(time: int) -> str:
    return str(time) if time >= 0 else ""
