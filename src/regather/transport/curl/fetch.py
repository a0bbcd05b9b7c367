"""One file being fetched from an FTP or SFTP server, and what the server tells of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from regather.names import host_port, idna
from regather.transport.base import Failure, RequestFailed
from regather.transport.curl import library
from regather.transport.curl.ftp_replies import explained, knows_no_ranges
from regather.transport.curl.login import Access
from regather.transport.curl.transfer import GULP, Transfer
from regather.transport.curl.urls import split_target
from regather.transport.options import TransportOptions

__all__ = ["NoRanges", "Retrieval", "Told"]

_LEAST_GULP = 16 << 10
_SIZE = re.compile(rb"213 ([0-9]{1,19})\s*")
_ACCEPTED = (b"125", b"150")
"""Replies of FTP after which the body comes."""


class NoRanges(Exception):
    """The server cannot begin in the middle of a file."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a server tells of a file."""

    size: int | None
    """Bytes; None where it does not tell."""
    time: int
    """Of its last change: seconds since 1970, or -1 where it does not tell."""
    ranged: bool = True
    """Whether it can be had from its middle."""

    @property
    def validator(self) -> str:
        """What tells this version from others; may be empty."""
        return str(self.time) if self.time >= 0 else ""


class Retrieval:
    """Transfers with one server, one at a time. All methods raise RequestFailed."""

    def __init__(self, options: TransportOptions) -> None:
        """Raises UsageError where libcurl is missing."""
        self._options = options
        self._transfer = Transfer(library("this address"), options)
        self._access: Access | None = None
        self.finish = self._transfer.finish
        self.abort = self._transfer.abort
        self.close = self._transfer.close

    def look(self, target: str) -> Told:
        """Ask for size and time of a file."""
        scheme = self._start(target, "", body=False)
        transfer = self._transfer
        while not transfer.ended:  # libcurl writes something like the head of a page
            transfer.receive(memoryview(bytearray(4096)))
        self._check()
        length = int(transfer.info("CONTENT_LENGTH_DOWNLOAD_T"))
        ranged = scheme == "sftp" or any(line.startswith(b"350") for line in transfer.lines)
        told = Told(length if length >= 0 else None, transfer.info("INFO_FILETIME"), ranged)
        transfer.finish(whole=True)
        if told.size is None and scheme == "sftp":
            # It tells none of empty files either.
            self._start(target, "")
            transfer.until(lambda: False)
            self._check()
            empty = transfer.ended
            transfer.finish(whole=empty)
            return Told(0 if empty else None, told.time)
        return told

    def begin(self, target: str, range_: str) -> Told:
        """Ask for a range, ``FIRST-LAST`` or ``FIRST-``, or with an empty one for all.

        Returns when the body begins, or has ended well; SFTP does not tell the size here. Raises
        NoRanges too.
        """
        scheme = self._start(target, range_)
        transfer, looked = self._transfer, 0

        def accepted() -> bool:
            nonlocal looked
            new, looked = transfer.lines[looked:], len(transfer.lines)
            return any(line.startswith(_ACCEPTED) for line in new)

        transfer.until(accepted)
        trouble = transfer.trouble
        if trouble is not None and range_ and knows_no_ranges(trouble, transfer.lines):
            raise NoRanges
        self._check()
        time = transfer.info("INFO_FILETIME")
        return Told(self._told_size(time) if scheme != "sftp" else None, time)

    def receive(self, into: memoryview) -> int:
        """As Connection.receive: the body must not have ended yet."""
        count = self._transfer.receive(into)
        if not count and self._transfer.ended:
            self._check()
            raise RequestFailed(Failure.TRUNCATED, "the body ended too early")
        return count

    def _start(self, target: str, range_: str, *, body: bool = True) -> str:
        """Start a transfer; returns its scheme."""
        origin, user, path = split_target(target)
        scheme, host, port = origin
        if path.endswith("/"):  # libcurl would make a list of it
            raise RequestFailed(Failure.BAD_RESPONSE, "a folder, not a file")
        access = self._access = Access(origin, user, self._options)

        def configure(easy: Any) -> None:
            import pycurl

            name = host.replace("%", "%25") if ":" in host else idna(host)
            easy.setopt(pycurl.URL, f"{scheme}://{host_port(name, port)}{path}")
            easy.setopt(pycurl.PROTOCOLS, getattr(pycurl, f"PROTO_{scheme.upper()}"))
            easy.setopt(pycurl.OPT_FILETIME, 1)
            easy.setopt(pycurl.FTP_FILEMETHOD, pycurl.FTPMETHOD_NOCWD)
            if range_:
                easy.setopt(pycurl.RANGE, range_)
                easy.setopt(pycurl.BUFFERSIZE, _gulp(range_))
            if not body:
                easy.setopt(pycurl.NOBODY, 1)
            access.configure(easy)

        self._transfer.begin(configure)
        return scheme

    def _told_size(self, time: int) -> int | None:
        """What an FTP server said in this transfer; its reply to MDTM looks much like a size."""
        told = [line for line in self._transfer.lines if line.startswith(b"213 ")]
        if time >= 0:
            told = told[1:]
        match = _SIZE.fullmatch(told[-1]) if told else None
        return int(match[1]) if match else None

    def _check(self) -> None:
        """Raise RequestFailed where the transfer has failed."""
        if self._transfer.trouble is not None:
            assert self._access is not None
            failure, detail = explained(self._transfer.trouble, self._transfer.lines, self._access)
            raise RequestFailed(failure, detail)


def _gulp(range_: str) -> int:
    """Bytes to receive at a time: SFTP is asked for four times as many, past the range too.

    An eighth of a request is a tolerable waste, and enough to keep a line busy whose round trip
    takes an eighth of the second that a request is to last.
    """
    first, _, last = range_.partition("-")
    wanted = int(last) - int(first) if last else GULP << 5
    return min(max(wanted >> 5, _LEAST_GULP), GULP)
