"""Objects of HTTP servers: ranges, sizes and small documents; see channel.py for the bytes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from regather.transport.base import Failure, Look, RequestFailed
from regather.transport.channel import Channel
from regather.transport.credentials import advice, origin_of
from regather.transport.head import Head, Request, check_range, check_status, failure_of, split_url
from regather.transport.options import TransportOptions, default_tls
from regather.transport.wire import Body
from regather.units import MAX_SIZE

if TYPE_CHECKING:
    from regather.transport.curl.channel import CurlChannel

__all__ = ["HttpConnection", "TransportOptions", "default_tls"]

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_TOTAL = re.compile(r"[0-9]{1,19}")
_NO_HEAD = frozenset((403, 405, 501))
"""Answers of servers, or of signed URLs, that know no HEAD: they are asked for one byte."""
_NO_BODY = frozenset((204, 304))
_STALE = frozenset((Failure.UNREACHABLE, Failure.TIMEOUT, Failure.RESET, Failure.TRUNCATED))
"""Failures after which a remembered redirect is asked for again."""
_WANTED_DIGESTS = [
    ("Want-Repr-Digest", "sha-512=9, sha-256=10, sha=1"),
    ("Want-Digest", "SHA-256;q=1, SHA-512;q=0.9, SHA;q=0.1"),
]
_MAX_TEXT = 4 << 10
"""Bytes of an answer's text that are looked at."""


class HttpConnection:
    """One keep-alive connection; follows redirects, never from https to http.

    Tokens (see Credentials) go to the server that was named, not to where it redirects.
    """

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._channel = _channel(options)
        self.receive = self._channel.receive
        """See Connection.receive."""
        self.finish = self._channel.finish
        """See Connection.finish."""
        self.abort = self._channel.abort
        """See Connection.abort."""
        self.close = self._channel.close
        """See Connection.close."""
        self.forsake = self._channel.forsake
        """See Connection.forsake."""

    def request(
        self, target: str, start: int, stop: int, size: int | None, validator: str = ""
    ) -> bool:
        """See Connection.request."""
        head, url = self._ask("GET", target, _range_headers(start, stop, validator))
        if failure_of(head.status) is Failure.MISSING:
            # Whoever holds some of the objects is asked for others: past the page it goes on.
            self._channel.left = head.length
            self.finish()
        self._check(head, target, url)
        try:
            ranged, length = check_range(head, url, start, stop, size, validator)
        except RequestFailed:
            self.close()  # its body still comes, and is no answer to anything else
            raise
        self._channel.left = length
        return ranged

    def ahead(self, target: str, start: int, stop: int, validator: str = "") -> None:
        """See Connection.ahead."""
        url = self._options.redirects.get(target, target)
        headers = [*_range_headers(start, stop, validator), *self._own_headers(target, url)]
        self._channel.send_ahead(Request("GET", split_url(url), tuple(headers)))

    def probe(self, target: str) -> tuple[int, str]:
        """Ask how many bytes an object has and what tells its version (see Head.validator).

        Raises RequestFailed where the object is not to be had or the server does not tell.
        """
        head, url = self._ask("HEAD", target, [])
        self._channel.left = 0
        self.finish()
        if head.status in _NO_HEAD:
            head, url = self._ask("GET", target, [("Range", "bytes=0-0")])
            self.close()
        self._check(head, target, url)
        return self._size_of(head, url), head.validator

    def look(self, target: str, count: int) -> Look:
        """Ask for the first ``count`` bytes of an object, and with them for all that is told of it.

        Raises RequestFailed as probe() does.
        """
        hops: list[tuple[str, Head]] = []
        wanted = [("Range", f"bytes=0-{count - 1}"), *_WANTED_DIGESTS]
        head, url = self._ask("GET", target, wanted, hops)
        empty = head.status == 416 and head.headers.get("content-range", "") == "bytes */0"
        size, start = 0, b""
        if not empty:
            self._check(head, target, url)
            size = self._size_of(head, url)
            ranged, self._channel.left = check_range(head, url, 0, min(count, size), size, "")
            start = self._read_all(count - 1)[:count] if size else b""
        else:
            ranged, self._channel.left = True, head.length
        if len(start) < min(count, size):
            raise RequestFailed(Failure.BAD_RESPONSE, f"{url}: sends less than it promises")
        self.finish()
        return Look(
            size,
            head.validator,
            start,
            ranged,
            head.headers.get("last-modified", ""),
            tuple((where, hop.headers) for where, hop in hops),
        )

    @staticmethod
    def _size_of(head: Head, url: str) -> int:
        """Bytes of the object that a head is of. Raises RequestFailed where it is no file."""
        total = head.headers.get("content-range", "").rpartition("/")[2]
        size = int(total) if head.status == 206 and _TOTAL.fullmatch(total) else head.length
        if size is None or size > MAX_SIZE:
            raise RequestFailed(Failure.BAD_RESPONSE, f"{url}: the server does not tell its size")
        page = head.headers.get("content-type", "").startswith("text/html")
        if page and not urlsplit(url).path.lower().endswith((".html", ".htm")):
            raise RequestFailed(Failure.BAD_RESPONSE, f"{url}: answers with a web page, not a file")
        if head.headers.get("content-encoding", "identity") != "identity":
            raise RequestFailed(Failure.BAD_RESPONSE, f"{url}: the server sends it coded")
        return size

    def fetch(self, target: str, limit: int) -> tuple[bytes, str]:
        """Fetch a small object whole; returns (bytes, URL after redirects).

        Raises RequestFailed where it has more than ``limit`` bytes or cannot be had.
        """
        head, url = self._ask("GET", target, [])
        self._check(head, target, url)
        coding = head.headers.get("content-encoding", "identity")
        if head.status != 200 or coding != "identity":
            raise RequestFailed(Failure.BAD_RESPONSE, f"{url}: not sent whole and plain")
        self._channel.left = head.length
        if self._channel.left is not None and self._channel.left > limit:
            raise RequestFailed(Failure.BAD_RESPONSE, f"{url}: larger than {limit} bytes")
        body = self._read_all(limit)
        if len(body) > limit:
            raise RequestFailed(Failure.BAD_RESPONSE, f"{url}: larger than {limit} bytes")
        self.finish()
        return body, url

    def submit(
        self, method: str, target: str, headers: list[tuple[str, str]], body: Body | None = None
    ) -> tuple[Head, str]:
        """Send a request that changes something; returns the head of the answer and its text.

        The text is its first line, at most 4 KiB. Redirects are not followed. Raises
        RequestFailed where there is no answer, and whatever ``body.read`` raises.
        """
        headers = [*headers, *self._own_headers(target, target)]
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
            sent=_holds(self._own_headers(target, url), "authorization"),
            redirected=origin != origin_of(split_url(target)),
        )

    def _check(self, head: Head, target: str, url: str) -> None:
        check_status(head, url, self.advice(head, target, url))

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

    def _own_headers(self, target: str, url: str) -> list[tuple[str, str]]:
        """Headers with what is the user's own.

        Those that were set for a host, and credentials, only where ``url`` is at the server that
        ``target`` names; a cookie says itself for whom it is.
        """
        origin = origin_of(split_url(url))
        headers: list[tuple[str, str]] = []
        if origin == origin_of(split_url(target)):
            headers += self._options.hosts.headers(origin, self._options.credentials.warn)
            if not _holds(headers, "authorization"):
                value = self._options.credentials.header(origin)
                if value is not None:
                    headers.append(("Authorization", value))
        if not _holds(headers, "cookie") and (cookie := self._options.cookies.header(url)):
            headers.append(("Cookie", cookie))
        return headers

    def _ask(
        self,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        hops: list[tuple[str, Head]] | None = None,
    ) -> tuple[Head, str]:
        """Ask, following redirects; returns the last head and its URL. ``hops`` gets all heads."""
        url = self._options.redirects.get(target, target)
        remembered = url != target
        for _ in range(_MAX_REDIRECTS + 1):
            parts = split_url(url)
            request = Request(method, parts, (*headers, *self._own_headers(target, url)))
            try:
                head = self._channel.exchange(request)
            except RequestFailed as error:
                if remembered and error.failure in _STALE:
                    # It may lead elsewhere by now: the next request asks.
                    self._options.redirects.pop(target, None)
                raise
            if hops is not None:
                hops.append((url, head))
            location = head.headers.get("location")
            if remembered and head.status >= 400:
                # A redirect may hold for a while only, as to a signed URL: ask for a new one.
                self._options.redirects.pop(target, None)
                self.close()
                url, remembered = target, False
                continue
            if head.status not in _REDIRECTS or not location:
                if url != target:
                    self._options.redirects[target] = url
                return head, url
            self.close()
            try:
                onward = urljoin(url, location)
            except ValueError:
                raise RequestFailed(
                    Failure.BAD_RESPONSE, f"{url}: redirects to no URL: {location!r}"
                ) from None
            if split_url(onward).scheme == "http" and parts.scheme == "https":
                raise RequestFailed(
                    Failure.BAD_RESPONSE, f"{url}: redirects from https to http: refused"
                )
            url = onward
        raise RequestFailed(Failure.BAD_RESPONSE, f"{target}: more than {_MAX_REDIRECTS} redirects")


def _holds(headers: list[tuple[str, str]], name: str) -> bool:
    return any(one.lower() == name for one, _ in headers)


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
