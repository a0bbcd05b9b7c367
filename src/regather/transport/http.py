"""Objects of HTTP servers: ranges, sizes and small documents; see channel.py for the bytes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from regather.transport.base import Failure, Look, RequestFailed
from regather.transport.channel import Channel
from regather.transport.credentials import advice, origin_of
from regather.transport.fields import coding_of, decoded, is_binary
from regather.transport.head import Head, Request, check_range, check_status, failure_of, split_url
from regather.transport.options import TransportOptions, default_tls
from regather.transport.redirects import Redirects, holds, shown
from regather.transport.wire import Body
from regather.units import MAX_SIZE

if TYPE_CHECKING:
    from regather.transport.curl.channel import CurlChannel

__all__ = ["HttpConnection", "TransportOptions", "default_tls"]

_TOTAL = re.compile(r"[0-9]{1,19}")
_NO_HEAD = frozenset((403, 405, 501))
"""Answers of servers, or of signed URLs, that know no HEAD: they are asked for one byte."""
_NO_BODY = frozenset((204, 304))
_WANTED_DIGESTS = [
    ("Want-Repr-Digest", "sha-512=9, sha-256=10, sha=1"),
    ("Want-Digest", "SHA-256;q=1, SHA-512;q=0.9, SHA;q=0.1"),
]
_PAGE_NAMES = (".html", ".htm", ".xhtml")
_CODED = "the server sends it {}-coded although that was declined"
_MAX_TEXT = 4 << 10
"""Bytes of an answer's text that are looked at."""


class HttpConnection:
    """One keep-alive connection; follows redirects, never from https to http.

    Tokens (see Credentials) go to the server that was named, not to where it redirects.
    """

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._channel = _channel(options)
        self._redirects = Redirects(self._channel, options)
        self.receive = self._channel.receive
        """See Connection.receive."""
        self.finish = self._channel.finish
        """See Connection.finish."""
        self.abort = self._channel.abort
        """See Connection.abort."""
        self.close = self._channel.close
        """See Connection.close."""

    def request(
        self, target: str, start: int, stop: int, size: int | None, validator: str = ""
    ) -> bool:
        """See Connection.request."""
        head, url = self._redirects.ask("GET", target, _range_headers(start, stop, validator))
        if failure_of(head.status) is Failure.MISSING:
            # Whoever holds some of the objects is asked for others: past the page it goes on.
            self._channel.left = head.length
            self.finish()
        self._check(head, target, url)
        try:
            self._check_coding(head, target, url, size)
            ranged, length = check_range(head, shown(target, url), start, stop, size, validator)
        except RequestFailed:
            self.close()  # its body still comes, and is no answer to anything else
            raise
        self._channel.left = length
        return ranged

    def ahead(self, target: str, start: int, stop: int, validator: str = "") -> None:
        """See Connection.ahead."""
        url = self._options.redirects.get(target, target)
        headers = [
            *_range_headers(start, stop, validator),
            *self._redirects.own_headers(target, url),
        ]
        self._channel.send_ahead(Request("GET", split_url(url), tuple(headers)))

    def probe(self, target: str, *, verified: bool = False) -> tuple[int, str]:
        """Ask how many bytes an object has and what tells its version (see Head.validator).

        Without ``verified`` it must be a file by what the server says, too. Raises RequestFailed
        where the object is not to be had or the server does not tell.
        """
        head, url = self._redirects.ask("HEAD", target, [])
        self._channel.left = 0
        self.finish()
        if head.status in _NO_HEAD:
            head, url = self._redirects.ask("GET", target, [("Range", "bytes=0-0")])
            self.close()
        self._check(head, target, url)
        size = self._size_of(head, target, url)
        if not verified and (doubt := _doubt(head, target, url)):
            raise RequestFailed(Failure.BAD_RESPONSE, f"{shown(target, url)}: {doubt}")
        return size, head.validator

    def look(self, target: str, count: int) -> Look:
        """Ask for the first ``count`` bytes of an object, and with them for all that is told of it.

        Raises RequestFailed as probe() does.
        """
        hops: list[tuple[str, Head]] = []
        wanted = [("Range", f"bytes=0-{count - 1}"), *_WANTED_DIGESTS]
        head, url = self._redirects.ask("GET", target, wanted, hops)
        empty = head.status == 416 and head.headers.get("content-range", "") == "bytes */0"
        size, start, doubt, where = 0, b"", "", shown(target, url)
        if not empty:
            self._check(head, target, url)
            size = self._size_of(head, target, url)
            ranged, self._channel.left = check_range(head, where, 0, min(count, size), size, "")
            start = self._read_all(count - 1)[:count] if size else b""
            doubt = _doubt(head, target, url, start)
        else:
            ranged, self._channel.left = True, head.length
        if len(start) < min(count, size):
            raise RequestFailed(Failure.BAD_RESPONSE, f"{where}: sends less than it promises")
        self.finish()
        return Look(
            size,
            head.validator,
            start,
            ranged,
            head.headers.get("last-modified", ""),
            tuple((at, hop.headers) for at, hop in hops),
            doubt,
        )

    @staticmethod
    def _size_of(head: Head, target: str, url: str) -> int:
        """Bytes of the object that a head is of. Raises RequestFailed where it does not tell."""
        size = _told_size(head)
        if size is None or size > MAX_SIZE:
            where = shown(target, url)
            raise RequestFailed(Failure.BAD_RESPONSE, f"{where}: the server does not tell its size")
        return size

    def fetch(self, target: str, limit: int) -> tuple[bytes, str]:
        """Fetch a small object whole; returns (bytes, URL after redirects).

        Raises RequestFailed where it has more than ``limit`` bytes or cannot be had.
        """
        head, url = self._redirects.ask("GET", target, [])
        self._check(head, target, url)

        def bad(detail: str) -> RequestFailed:
            return RequestFailed(Failure.BAD_RESPONSE, f"{shown(target, url)}: {detail}")

        if head.status != 200:
            raise bad("not sent whole")
        self._channel.left = head.length
        if self._channel.left is not None and self._channel.left > limit:
            raise bad(f"larger than {limit} bytes")
        body = self._read_all(limit)
        if len(body) > limit:
            raise bad(f"larger than {limit} bytes")
        self.finish()
        try:
            body = decoded(body, head.headers.get("content-encoding", ""), limit)
        except ValueError as error:
            raise bad(str(error)) from None
        return body, url

    def submit(
        self, method: str, target: str, headers: list[tuple[str, str]], body: Body | None = None
    ) -> tuple[Head, str]:
        """Send a request that changes something; returns the head of the answer and its text.

        The text is its first line, at most 4 KiB. Redirects are not followed. Raises
        RequestFailed where there is no answer, and whatever ``body.read`` raises.
        """
        headers = [*headers, *self._redirects.own_headers(target, target)]
        headers.append(("Content-Length", str(body.size if body is not None else 0)))
        if body is not None and body.expect:
            headers.append(("Expect", "100-continue"))
        request = Request(method, split_url(target), tuple(headers))
        head = self._channel.exchange(request, body)
        self._channel.left = 0 if head.status in _NO_BODY else head.length
        if self._channel.left == 0 and not self._channel.coded:
            self.finish()
            return head, ""
        try:
            text = self._read_all(_MAX_TEXT).decode("utf-8", "replace")
        except RequestFailed as error:  # the status counts
            if error.failure is Failure.ABORTED:
                raise
            text = ""
        self.finish()
        return head, text.partition("\n")[0].strip()

    def advice(self, head: Head, target: str, url: str) -> str:
        """What to do about a 401 or 403 from ``url``, which ``target`` led to; else empty."""
        origin = origin_of(split_url(url))
        return advice(
            head.status,
            origin,
            sent=holds(self._redirects.own_headers(target, url), "authorization"),
            redirected=origin != origin_of(split_url(target)),
        )

    def _check(self, head: Head, target: str, url: str) -> None:
        check_status(head, shown(target, url), self.advice(head, target, url))

    @staticmethod
    def _check_coding(head: Head, target: str, url: str, size: int | None) -> None:
        """Raise RequestFailed where a coded form of an object follows, and not the object.

        A coded form would not have the object's size: where that is told, the coding is not true.
        """
        coding = coding_of(head.headers.get("content-encoding", ""), *_paths(target, url))
        if coding and size is not None and size != _told_size(head):
            where = shown(target, url)
            raise RequestFailed(Failure.BAD_RESPONSE, f"{where}: {_CODED.format(coding)}")

    def _read_all(self, limit: int) -> bytes:
        """The rest of the body, to its end or a little more than ``limit`` bytes."""
        until_end = self._channel.left is None
        body = bytearray()
        buffer = memoryview(bytearray(64 << 10))
        while self._channel.left != 0 and len(body) <= limit:
            try:
                count = self.receive(buffer)
            except RequestFailed as error:
                if until_end and error.failure is Failure.TRUNCATED and not self._channel.coded:
                    break
                raise
            body += buffer[:count]
        return bytes(body)


def _paths(target: str, url: str) -> tuple[str, str]:
    return urlsplit(target).path, urlsplit(url).path


def _told_size(head: Head) -> int | None:
    """Bytes of the object, by the head of an answer to a request for it or for a range of it."""
    total = head.headers.get("content-range", "").rpartition("/")[2].strip()
    return int(total) if head.status == 206 and _TOTAL.fullmatch(total) else head.length


def _doubt(head: Head, target: str, url: str, start: bytes = b"") -> str:
    """Why an answer may not be the file that was asked for, by its head and its first bytes."""
    paths = _paths(target, url)
    named = any(path.lower().endswith(_PAGE_NAMES) for path in paths)
    if head.page and not named and not is_binary(start):
        return "answers with a web page, not a file"
    coding = coding_of(head.headers.get("content-encoding", ""), *paths)
    return _CODED.format(coding) if coding else ""


def _channel(options: TransportOptions) -> Channel | CurlChannel:
    """Our own sockets wherever they can do what is asked for: they are faster."""
    if options.beyond_us:
        from regather.transport.curl.channel import CurlChannel

        return CurlChannel(options)
    return Channel(options)


def _range_headers(start: int, stop: int, validator: str) -> list[tuple[str, str]]:
    headers = [("Range", f"bytes={start}-{stop - 1}")]
    if validator and not validator.startswith("W/"):
        headers.append(("If-Range", validator))
    return headers
