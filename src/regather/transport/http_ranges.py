"""Ranges of objects of HTTP servers; see channel.py for the bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from regather.origins import origin_of
from regather.transport.answer_checks import check_coding
from regather.transport.base import Failure, OtherSize, RequestFailed
from regather.transport.channel import Channel
from regather.transport.credentials import advice
from regather.transport.head import GOOD, Head, HttpRequest, check_status, split_url
from regather.transport.options import TransportOptions
from regather.transport.ranges import (
    MOST_SKIPPED,
    Manner,
    RangeAnswer,
    UselessRange,
    check_size,
    judge_range,
    judge_whole,
    told_size,
)
from regather.transport.redirects import Redirects, holds, shown

if TYPE_CHECKING:
    from regather.transport.curl.channel import CurlChannel

BROKEN = frozenset((Failure.RESET, Failure.TRUNCATED))
"""How a connection ends in place of an answer."""


class _PartialRange(Struct):
    """A range of which answers bring only parts."""

    target: str
    at: int
    """How far it has been received."""
    here: int
    """Where what the present answer brings of it ends."""
    stop: int
    size: int | None
    validator: str


class HttpRanges:
    """One keep-alive connection; follows redirects, never from https to http.

    Tokens (see Credentials) go to the server that was named, not to where it redirects.
    """

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._channel = _channel(options)
        self._redirects = Redirects(self._channel, options)
        self._wanted: _PartialRange | None = None
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
        """See Connection.request. Where less is sent than was asked for, the rest is asked for."""
        self.receive = self._channel.receive
        answer = self._ask_range(target, start, stop, size, validator)
        if answer.ranged and answer.stop < stop:
            self._wanted = _PartialRange(target, start, answer.stop, stop, size, validator)
            self.receive = self._receive_parts
        return answer.ranged

    def _ask_range(
        self, target: str, start: int, stop: int, size: int | None, validator: str
    ) -> RangeAnswer:
        """Ask for a range, or the start of it, in the manner that the server likes."""
        manner = self._manner(target)
        useless: RequestFailed | None = None
        while not manner.whole:
            end = min(stop, start + manner.most)
            headers = _range_headers(start, end, validator)
            try:
                head, url = self._redirects.ask("GET", target, headers)
                self._check(head, target, url)
            except RequestFailed as error:
                if error.status is None and error.failure not in BROKEN:
                    raise
                if error.status is not None:
                    # Past the page it goes on: there may be other objects, or other ranges.
                    self._channel.left = head.length
                    self.finish()
                then = manner.refused(error.status, end - start)
                if then == "shorter":
                    continue
                if error.status is not None and (told := told_size(head)):
                    check_size(shown(target, url), told, stop, size)  # 0 is said of any size
                if then == "final":
                    raise
                break
            try:
                check_coding(head, target, url, size)
                answer = judge_range(head, shown(target, url), start, end, size, validator)
            except RequestFailed as error:
                self.close()  # its body still comes, and is no answer to anything else
                odd = head.status == 206 or head.page or not head.length
                misled = odd and isinstance(error, OtherSize)
                if not misled and not isinstance(error, UselessRange):
                    raise
                useless = error
                break
            self._channel.left = answer.length
            if answer.ranged:
                manner.accepts(end - start)
                self._skip(answer.skip)
            return answer
        return self._ask_whole(target, stop, size, validator, useless)

    def _ask_whole(
        self,
        target: str,
        stop: int,
        size: int | None,
        validator: str,
        useless: RequestFailed | None,
    ) -> RangeAnswer:
        """Ask without a range; ``useless`` is what was wrong with the answer to one."""
        manner = self._manner(target)
        head, url = self._redirects.ask("GET", target, [])
        if head.status not in GOOD:
            manner.refuses_all()
        self._check(head, target, url)
        try:
            check_coding(head, target, url, size)
            answer = judge_whole(head, shown(target, url), stop, size, validator)
        except RequestFailed as error:
            self.close()
            raise (isinstance(error, UselessRange) and useless) or error from None
        manner.whole = True
        self._channel.left = answer.length
        return answer

    def _receive_parts(self, into: memoryview) -> int:
        """See Connection.receive: of a range that comes in several answers."""
        wanted = self._wanted
        assert wanted is not None
        if wanted.at == wanted.here:
            self.finish()
            answer = self._ask_range(
                wanted.target, wanted.at, wanted.stop, wanted.size, wanted.validator
            )
            wanted.here = answer.stop if answer.ranged else wanted.stop
            if not answer.ranged:
                self._skip(wanted.at)
        count = self._channel.receive(into[: wanted.here - wanted.at])
        wanted.at += count
        return count

    def _skip(self, count: int) -> None:
        """Read past bytes that were not asked for."""
        if count > MOST_SKIPPED:
            self.close()
            raise RequestFailed(Failure.TRUNCATED, "ranges are ignored now")
        scratch = memoryview(bytearray(min(count, 64 << 10)))
        while count:
            count -= self._channel.receive(scratch[:count])

    def _manner(self, target: str) -> Manner:
        return self._options.manners.setdefault(origin_of(split_url(target)), Manner())

    def ahead(self, target: str, start: int, stop: int, validator: str = "") -> None:
        """See Connection.ahead."""
        manner = self._manner(target)
        if manner.whole or self.receive == self._receive_parts:
            return
        url = self._options.redirects.get(target, target)
        headers = _range_headers(start, min(stop, start + manner.most), validator)
        headers += [*self._redirects.loop_headers(), *self._redirects.own_headers(target, url)]
        self._channel.send_ahead(HttpRequest("GET", split_url(url), tuple(headers)))

    def advice(self, head: Head, target: str, url: str) -> str:
        """What to do about a 401 or 403 from ``url``, which ``target`` led to; else empty."""
        origin = origin_of(split_url(url))
        return advice(
            head.status,
            origin,
            sent=holds(self._redirects.own_headers(target, url), "authorization"),
            redirected=origin != origin_of(split_url(target)),
            demanded=head.headers.get("www-authenticate", ""),
        )

    def _check(self, head: Head, target: str, url: str) -> None:
        if head.status not in GOOD:
            check_status(head, shown(target, url), self.advice(head, target, url))


def _channel(options: TransportOptions) -> Channel | CurlChannel:
    """Our own sockets wherever they can do what is asked for: they are faster."""
    if options.needs_libcurl:
        from regather.transport.curl.channel import CurlChannel

        return CurlChannel(options)
    return Channel(options)


def _range_headers(start: int, stop: int, validator: str) -> list[tuple[str, str]]:
    headers = [("Range", f"bytes={start}-{stop - 1}")]
    if validator and not validator.startswith("W/"):
        headers.append(("If-Range", validator))
    return headers
