"""Objects of FTP and SFTP servers: ranges, sizes, dates and small documents."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from typing import TypeVar

from regather.schemes import scheme_of
from regather.transport.base import Failure, Look, RequestFailed
from regather.transport.curl import INSTALL, available
from regather.transport.curl.fetch import NoRanges, Retrieval, Told
from regather.transport.curl.urls import split_target
from regather.transport.options import TransportOptions
from regather.transport.ranges import STEP
from regather.units import MAX_SIZE, counted

_CHEAP_TO_DRAIN = 256 << 10
_Result = TypeVar("_Result")


class FileConnection:
    """One connection to an FTP or SFTP server.

    FTP can end a transfer early only by breaking it off, and the connection with it; libcurl would
    also wait, for a minute and deaf to all, for what the server says to that. So files are asked
    for to their end. Where the next request goes on in the same place, so does the transfer; else
    it is broken off then, and the request costs a new login.
    """

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._made: Retrieval | None = None
        self._aborted = False
        self._target = ""
        self._left = 0
        self._known: tuple[str, Told] | None = None
        """URL of an SFTP object, and what is known of it."""
        self._going: tuple[str, int, Told] | None = None
        """URL, position and more of an FTP transfer that could go on."""

    # -- what every transport does --------------------------------------------------------

    def request(
        self, target: str, start: int, stop: int, size: int | None, validator: str = ""
    ) -> bool:
        """See Connection.request."""
        self._target = target
        going, self._going = self._going, None
        if start >= stop:
            told = self._look_at(target)
            ranged = True
        elif going is not None and going[:2] == (target, start):
            told, ranged = going[2], True
        else:
            told, ranged = self._begin(target, start, stop, size)
        self._check(told, stop, size, validator)
        whole = size if told.size is None else told.size
        if not ranged and whole is None:
            raise self._fail(Failure.BAD_RESPONSE, "the server does not report its size")
        self._left = stop - start if ranged else (whole or 0)
        if ranged and start < stop and scheme_of(target) != "sftp" and stop != whole:
            self._going = target, stop, told
        return ranged

    def ahead(self, target: str, start: int, stop: int, validator: str = "") -> None:
        """See Connection.ahead: neither FTP nor libcurl's SFTP can do that."""

    def receive(self, into: memoryview) -> int:
        """See Connection.receive."""
        wanted = min(len(into), self._left)
        if not wanted:
            return 0
        count = self._asked(lambda made: made.receive(into[:wanted]))
        self._left -= count
        return count

    def finish(self) -> None:
        """See Connection.finish."""
        if 0 < self._left <= _CHEAP_TO_DRAIN:
            scratch = memoryview(bytearray(self._left))
            try:
                while self._left and self.receive(scratch):
                    pass
            except RequestFailed:
                return
        if self._made is not None and (self._left or self._going is None):
            self._going = None
            self._made.finish(whole=not self._left)
        self._left = 0

    def abort(self) -> None:
        """See Connection.abort."""
        self._aborted = True
        made = self._made  # its own thread may close it meanwhile
        if made is not None:
            made.abort()

    def close(self) -> None:
        """See Connection.close."""
        made, self._made = self._made, None
        self._known = self._going = None
        self._left = 0
        if made is not None:
            made.close()

    def forsake(self) -> None:
        """See Connection.forsake: libcurl would say good-bye to the server, so it is left alone."""

    # -- small things ---------------------------------------------------------------------

    def probe(self, target: str, *, verified: bool = False) -> tuple[int, str]:
        """Size in bytes and validator of an object. Raises RequestFailed."""
        told = self._look_at(target)
        return told.size or 0, told.validator

    def look(self, target: str, count: int) -> Look:
        """Size, date and the first ``count`` bytes of an object. Raises RequestFailed."""
        told = self._look_at(target)
        size = told.size or 0
        start = self._read(target, min(count, size), size)
        date = formatdate(told.time, usegmt=True) if told.time >= 0 else ""
        return Look(size, told.validator, start, told.ranged, date)

    def fetch(self, target: str, limit: int) -> tuple[bytes, str]:
        """Fetch a small object whole; returns (bytes, its URL).

        Raises RequestFailed where it has more than ``limit`` bytes or cannot be had.
        """
        size = self._look_at(target).size or 0
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

    def _begin(self, target: str, start: int, stop: int, size: int | None) -> tuple[Told, bool]:
        """Ask for a range; returns what is told of its file, and whether the range follows."""
        sftp = scheme_of(target) == "sftp"
        if sftp and (self._known is None or self._known[0] != target):
            self._look_at(target)
        to_the_end = not sftp or stop == size
        range_ = f"{start}-" if to_the_end else f"{start}-{stop - 1}"
        ranged = True
        try:
            told = self._asked(lambda made: made.begin(target, range_))
        except NoRanges:
            told = self._asked(lambda made: made.begin(target, ""))
            ranged = False
        if self._known is None or not sftp:
            return told, ranged
        known = self._known[1]
        if known.time != told.time:
            raise self._fail(Failure.CHANGED, "changed on the server during the download")
        return known, ranged

    def _look_at(self, target: str) -> Told:
        """Ask for size and time of an object. Raises RequestFailed where no size is told."""
        self._target, self._going = target, None
        told = self._asked(lambda made: made.look(target))
        if told.size is None or told.size > MAX_SIZE:
            raise self._fail(Failure.BAD_RESPONSE, "the server does not report its size")
        if scheme_of(target) == "sftp":
            self._known = target, told
        return told

    def _check(self, told: Told, stop: int, size: int | None, validator: str) -> None:
        if validator and told.validator and told.validator != validator:
            raise self._fail(Failure.CHANGED, "changed on the server during the download")
        actual = told.size
        if actual is not None and ((size is not None and actual != size) or actual < stop):
            wanted = stop if size is None else size
            raise self._fail(
                Failure.BAD_RESPONSE, f"has {counted(actual, 'byte')}, must have {wanted}"
            )

    def _asked(self, ask: Callable[[Retrieval], _Result]) -> _Result:
        """What ``ask`` returns; where it fails all is closed, and the error says where."""
        split_target(self._target)  # first: what it refuses must not be shown
        if self._made is None:
            if not available():
                raise self._fail(Failure.FORBIDDEN, f"needs libcurl: {INSTALL}")
            self._made = Retrieval(self._options)
            if self._aborted:
                self._made.abort()
        try:
            return ask(self._made)
        except RequestFailed as error:
            raise self._fail(error.failure, error.what) from None

    def _fail(self, failure: Failure, detail: str) -> RequestFailed:
        self.close()
        if self._aborted:
            return RequestFailed(Failure.ABORTED, "aborted")
        return RequestFailed(failure, f"{self._target}: {detail}")
