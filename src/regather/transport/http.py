"""Objects of HTTP servers: what is asked of them beside ranges: sizes, small documents, changes."""

from __future__ import annotations

from msgspec.structs import replace

from regather.transport.answer_checks import doubt_of, look_of, size_of
from regather.transport.base import Failure, Look, RequestFailed, SizeUnknown
from regather.transport.credentials import unsaid
from regather.transport.fields import decoded
from regather.transport.head import GOOD, Head, HttpRequest, split_url
from regather.transport.http_ranges import BROKEN, HttpRanges
from regather.transport.ranges import (
    RangeAnswer,
    UselessRange,
    judge_range,
    judge_whole,
    told_size,
)
from regather.transport.redirects import shown
from regather.transport.wire import RequestBody

_NO_BODY = frozenset((204, 304))
_WANTED_DIGESTS = [
    ("Want-Repr-Digest", "sha-512=9, sha-256=10, sha=1"),
    ("Want-Digest", "SHA-256;q=1, SHA-512;q=0.9, SHA;q=0.1"),
]
_MAX_TEXT = 4 << 10
"""Bytes of an answer's text that are looked at."""


class HttpConnection(HttpRanges):
    """All that is asked of an HTTP server."""

    def probe(self, target: str, *, verified: bool = False) -> tuple[int, str]:
        """Ask how many bytes an object has and what tells its version (see Head.validator).

        Without ``verified`` it must be a file by what the server says, too. Raises RequestFailed
        where the object is not to be had or the server does not tell.
        """
        manner = self._manner(target)
        head, url, told = self._head(target)
        if head is None or not told:
            try:
                look = self.look(target, 1)
            except RequestFailed as error:
                if head is not None and error.status == head.status:
                    manner.head_believed.add(head.status)
                raise
            manner.headless = True
            self.close()
            size, validator, doubt = look.size, look.validator, look.doubt
        else:
            self._check(head, target, url)
            size, validator = size_of(head, target, url), head.validator
            doubt = doubt_of(head, target, url)
        if size is None:
            raise SizeUnknown(shown(target, url))
        if doubt and not verified:
            raise RequestFailed(Failure.BAD_RESPONSE, f"{shown(target, url)}: {doubt}")
        return size, validator

    def _head(self, target: str) -> tuple[Head | None, str, bool]:
        """The answer to HEAD and its URL, and whether it is enough: one to GET may tell more.

        Servers, and signed URLs, refuse HEAD, or tell no length, or that of another coding. Where
        GET is refused in the same way, such a refusal is believed from then on.
        """
        manner = self._manner(target)
        if manner.headless:
            return None, target, False
        try:
            head, url = self._redirects.ask("HEAD", target, [])
        except RequestFailed as error:
            if error.failure not in BROKEN:
                raise
            return None, target, False
        self._channel.left = 0
        self.finish()
        if head.status == 200:
            told = bool(head.length) and not head.headers.get("content-encoding")
        else:
            told = head.status in manner.head_believed
        return head, url, told

    def look(self, target: str, count: int) -> Look:
        """Ask for the first ``count`` bytes of an object, and with them for all that is told of it.

        Raises RequestFailed as probe() does.
        """
        hops: list[tuple[str, Head]] = []
        manner = self._manner(target)
        first = [("Range", f"bytes=0-{count - 1}"), *_WANTED_DIGESTS]
        size: int | None = None
        answer: RangeAnswer | None = None
        ranged = False
        refused = False
        try:
            head, url = self._redirects.ask("GET", target, first, hops)
            if head.status == 416 and told_size(head) == 0:
                size, ranged = 0, True
            else:
                size, answer = self._first_answer(head, target, url, count)
                ranged = answer.ranged
        except UselessRange:
            pass
        except RequestFailed as error:
            asked = error.status is not None or error.failure in BROKEN
            if not asked or manner.refused(error.status, count) != "whole":
                raise
            refused = True
        page = answer is not None and not ranged and head.page
        if answer is None or (ranged and size is None) or size in (0, count) or page:
            # It does better, or tells the size, where it is asked for the whole. And a size that
            # is that of the answer may be no more than that.
            told = size
            self.close()
            more = [] if refused else _WANTED_DIGESTS
            head, url = self._redirects.ask("GET", target, more, hops)
            if head.status not in GOOD:
                manner.refuses_all()
            self._check(head, target, url)
            size = size_of(head, target, url)
            answer = judge_whole(head, shown(target, url), 0, size, "")
            ranged = ranged and size is not None and told in (None, size)
            if told is None or told != size:
                manner.whole = not ranged
        self._channel.left = answer.length
        self._skip(answer.skip)
        wanted = count if size is None else min(count, size)
        start = self._read_all(wanted - 1)[:wanted] if wanted else b""
        if size is not None and len(start) < min(wanted, answer.stop or wanted):
            where = shown(target, url)
            raise RequestFailed(Failure.BAD_RESPONSE, f"{where}: sent less than announced")
        if ranged:
            manner.accepts(len(start))
        self.finish()
        doubt = doubt_of(head, target, url, start)
        return look_of(head, hops, size, start, ranged=ranged, doubt=doubt)

    def _first_answer(
        self, head: Head, target: str, url: str, count: int
    ) -> tuple[int | None, RangeAnswer]:
        self._check(head, target, url)
        size = size_of(head, target, url)
        wanted = count if size is None else min(count, size)
        return size, judge_range(head, shown(target, url), 0, wanted, size, "")

    def whole(self, target: str, *, verified: bool = False) -> bool:
        """Ask for an object whole, whatever its size; read() brings it.

        Returns whether its end is told: by its length, or by the coding of the body. Without
        ``verified`` it must be a file by what the server says, too. Raises RequestFailed.
        """
        head, url = self._redirects.ask("GET", target, [])
        self._check(head, target, url)
        where = shown(target, url)
        size = size_of(head, target, url)
        doubt = "" if verified else doubt_of(head, target, url)
        if doubt:
            raise RequestFailed(Failure.BAD_RESPONSE, f"{where}: {doubt}")
        self._channel.left = judge_whole(head, where, 0, size, "").length
        return size is not None or head.chunked

    def read(self, into: memoryview) -> int | None:
        """As receive, and None at the end of a body. Raises RequestFailed where that is early."""
        if self._channel.left == 0:
            return None
        open_ended = self._channel.left is None
        try:
            return self.receive(into)
        except RequestFailed as error:
            if open_ended and error.failure is Failure.TRUNCATED and self._channel.left == 0:
                return None
            raise

    def fetch(self, target: str, limit: int) -> tuple[bytes, str]:
        """Fetch a small object whole; returns (bytes, URL after redirects).

        Raises RequestFailed where it has more than ``limit`` bytes or cannot be had.
        """
        head, url = self._redirects.ask("GET", target, [])
        self._check(head, target, url)

        def bad(detail: str) -> RequestFailed:
            return RequestFailed(Failure.BAD_RESPONSE, f"{shown(target, url)}: {detail}")

        if head.status != 200:
            raise bad("not sent completely")
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
        self,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        body: RequestBody | None = None,
    ) -> tuple[Head, str]:
        """Send a request that changes something; returns the head of the answer and its text.

        The text is its first line, at most 4 KiB, without secrets of ours that the server says
        back. Redirects are not followed. Raises
        RequestFailed where there is no answer, and whatever ``body.read`` raises.
        """
        own = self._redirects.own_headers(target, target)
        headers = [*headers, *own]
        headers.append(("Content-Length", str(body.size if body is not None else 0)))
        url, secret = split_url(target), bool(own)
        expecting = [("Expect", "100-continue")] if body is not None and body.expect else []
        request = HttpRequest(method, url, (*headers, *expecting))
        head = self._redirects.exchange(request, body, secret=secret)
        if head.status == 417 and body is not None and expecting:  # RFC 9110, 10.1.1
            self.close()
            request = HttpRequest(method, url, tuple(headers))
            body = replace(body, at_once=True)
            head = self._redirects.exchange(request, body, secret=secret)
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
        return head, unsaid(text, own).partition("\n")[0].strip()

    def _read_all(self, limit: int) -> bytes:
        """The rest of the body, to its end or a little more than ``limit`` bytes."""
        body = bytearray()
        buffer = memoryview(bytearray(64 << 10))
        while len(body) <= limit and (count := self.read(buffer)) is not None:
            body += buffer[:count]
        return bytes(body)
