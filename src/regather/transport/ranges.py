"""What servers answer to a request for a range: judged to the byte, and remembered by server.

Of a 206 it is ``Content-Range`` that says which bytes follow (RFC 9110, 14.4). It may name fewer
than were asked for (15.3.7); what names more is of use too, if what was asked for is in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from regather.transport.base import Connection, Failure, OtherSize, RequestFailed
from regather.transport.head import Head
from regather.units import counted

_LONGEST = 128
"""Characters of a Content-Range that are looked at: three numbers and a word need 70."""
_CONTENT_RANGE = re.compile(
    r"(?:bytes)?[ \t]*+[=:]?[ \t]*+([0-9]{1,19})[ \t]*+-[ \t]*+([0-9]{1,19})"
    r"(?:[ \t]*+/[ \t]*+([0-9]{1,19}|\*))?",
    re.IGNORECASE,
)
_UNSATISFIED = r"(?i)(?:bytes)?[ \t]*+[=:]?[ \t]*+\*[ \t]*+/[ \t]*+([0-9]{1,19})"
STEP = 1 << 20
"""Bytes in memory at a time, where a range is read step by step."""
MOST_SKIPPED = 16 << 20
"""Bytes before those that were asked for that are read past."""
_SMALL = 64 << 10
"""Bytes of a range that no server finds too large."""
_REFUSALS = 3
"""So often a larger range is tried again after one was refused."""
_NO_LIMIT = 1 << 62
_UNMET = frozenset((304, 412, 416))
"""Statuses that deny the size or the version, which are right where they are told."""
_LASTING = frozenset((401, 404, 407, 410, 426, 451))
"""Statuses that say something else than that this range is too large."""
_PASSING = frozenset((408, 425, 429))
"""Statuses that may mean that this range is too large, or come to anything now and then; 5xx too.
"""


class UselessRange(RequestFailed):
    """An answer to a range that is not one: without ``Range`` the server may do better."""

    def __init__(self, detail: str) -> None:
        super().__init__(Failure.BAD_RESPONSE, detail)


class ContentRange(Struct, frozen=True):
    """What a Content-Range names: bytes ``start`` up to ``stop`` of ``total`` (None: not told)."""

    start: int
    stop: int
    total: int | None


def content_range(head: Head) -> ContentRange | None:
    """What a head's Content-Range names; None where it has none, or none that can be.

    Servers write it with ``=`` or ``:``, in capitals, twice alike, or without its total.
    """
    value = head.headers.get("content-range", "")
    if len(value) > _LONGEST:
        return None
    values = {part.strip() for part in value.split(",")}
    match = _CONTENT_RANGE.fullmatch(values.pop()) if len(values) == 1 else None
    if match is None:
        return None
    total = int(match[3]) if match[3] not in (None, "*") else None
    span = ContentRange(int(match[1]), int(match[2]) + 1, total)
    valid = span.start < span.stop and (total is None or span.stop <= total)
    return span if valid else None


def total_of(head: Head) -> int | None:
    """Bytes of the object of which the head of a 200 or 206 tells; None: not told."""
    if head.status != 206:
        return head.length
    span = content_range(head)
    return None if span is None else span.total


def told_size(head: Head) -> int | None:
    """The size that a 416 tells; None where it tells none."""
    value = head.headers.get("content-range", "")
    match = re.fullmatch(_UNSATISFIED, value) if len(value) <= _LONGEST else None
    return int(match[1]) if match else None


class RangeAnswer(Struct, frozen=True):
    """A body that holds what was asked for."""

    ranged: bool
    """Whether it is of a range; else it is the whole object."""
    length: int | None
    """Bytes of the body, None: until it ends."""
    skip: int = 0
    """Bytes of it that stand before those that were asked for."""
    stop: int = 0
    """Where in the object what was asked for and is in it ends."""


def judge_range(
    head: Head, what: str, start: int, stop: int, size: int | None, validator: str
) -> RangeAnswer:
    """Find out what follows the head of a 200 or 206 to a request for a range.

    Raises UselessRange where that is not what was asked for, and RequestFailed where the object is
    another than it must be.
    """
    check_version(head, what, validator)
    span = content_range(head)
    if head.status != 206:
        if _is_perhaps_part(head, stop - start, stop if size is None else size):
            raise UselessRange(f"{what}: HTTP {head.status} with only the requested bytes")
        return _judge_plain(head, what, stop, size, span)
    if span is None or "multipart/" in head.headers.get("content-type", "").lower():
        raise UselessRange(f"{what}: answers 206 without a valid Content-Range")
    if span.total is not None:
        check_size(what, span.total, stop, size)
    if head.length is not None and head.length != span.stop - span.start:
        promised = counted(head.length, "byte")
        raise UselessRange(f"{what}: promises {promised} for a range of {span.stop - span.start}")
    if (span.start, span.stop) != (start, stop) and _is_whole(span, size):
        return RangeAnswer(False, span.stop)
    # As long as what was asked for, from 0: it may be just that, and declared wrongly.
    moved = 0 == span.start < start and span.stop == stop - start
    if moved or not span.start <= start < span.stop or start - span.start > MOST_SKIPPED:
        raise UselessRange(
            f"{what}: requested bytes {start}-{stop - 1}, received {span.start}-{span.stop - 1}"
        )
    return RangeAnswer(True, span.stop - span.start, start - span.start, min(stop, span.stop))


def judge_whole(head: Head, what: str, stop: int, size: int | None, validator: str) -> RangeAnswer:
    """The same of a request for the whole object."""
    check_version(head, what, validator)
    span = content_range(head)
    if head.status != 206:
        return _judge_plain(head, what, stop, size, span)
    length = head.length
    if span is None or not _is_whole(span, size) or length not in (None, span.stop):
        raise UselessRange(f"{what}: sent a part in response to a request for the whole file")
    check_size(what, span.stop, stop, size)
    return RangeAnswer(False, span.stop)


def _judge_plain(
    head: Head, what: str, stop: int, size: int | None, span: ContentRange | None
) -> RangeAnswer:
    length = head.length
    # A Content-Range means nothing here (RFC 9110, 14.4), but some send a part so.
    if span is not None and not _is_whole(span, length if size is None else size):
        raise UselessRange(f"{what}: answers {head.status} with a Content-Range")
    if length is not None:
        check_size(what, length, stop, size)
    return RangeAnswer(False, length if length is not None else size)


def _is_perhaps_part(head: Head, asked: int, size: int) -> bool:
    """Whether what is said to be an object of ``size`` bytes may be the range of ``asked``."""
    return head.length == asked < size


def _is_whole(span: ContentRange, size: int | None) -> bool:
    return span.start == 0 and span.stop == (size if span.total is None else span.total)


def check_size(what: str, found: int, stop: int, size: int | None) -> None:
    """Raise RequestFailed where an object that has ``found`` bytes is not as it must be."""
    must = size if size is not None else found
    if found != must or found < stop:
        raise OtherSize(f"{what}: has {counted(found, 'byte')}, must have {max(must, stop)}")


def check_version(head: Head, what: str, validator: str) -> None:
    """Raise RequestFailed where a head is of another version than ``validator`` is of.

    Tags are compared with tags, dates with dates. A node may send a strong tag and another the
    same as weak, which is weak comparison (RFC 9110, 8.8.3.2).
    """
    dated = validator.endswith("GMT")
    now = head.headers.get("last-modified" if dated else "etag", "") if validator else ""
    if now and now.removeprefix("W/") != validator.removeprefix("W/"):
        raise RequestFailed(Failure.CHANGED, f"{what}: changed on the server during the download")


# -- what is known of a server ----------------------------------------------------------------


class Manner(Struct):
    """How a server answers ranges, as far as it was seen. Shared by all connections to it."""

    served: int = 0
    """Bytes of the largest range that was served."""
    most: int = _NO_LIMIT
    """Bytes to ask for at a time."""
    whole: bool = False
    """Ranges are of no use: it is asked without."""
    headless: bool = False
    """HEAD is of no use: GET brings what it does not."""
    head_believed: set[int] = set()
    """Statuses with which HEAD was refused, and then GET too."""
    _refusals: int = 0
    _errors: int = 0
    _hopeless: bool = False
    """It refused the whole as well as a range."""

    def accepts(self, asked: int) -> None:
        """A range of ``asked`` bytes was served."""
        self._errors, self._hopeless = 0, False
        self.served = max(self.served, asked)
        if asked >= self.most and self._refusals < _REFUSALS:
            self.most *= 2  # perhaps what was refused was not refused for its length

    def refused(self, status: int | None, asked: int) -> Literal["final", "shorter", "whole"]:
        """What to ask for after a range of ``asked`` bytes was answered with ``status``.

        None: the connection ended in place of an answer. What may pass, for it comes to anything
        now and then, is taken for a refusal of this range at the third time in a row.
        """
        if status in _UNMET:
            return "shorter" if status == 416 and self._shortens(asked) else "whole"
        if status is None or status >= 500 or status in _PASSING:
            self._errors += 1
            if self._errors < _REFUSALS and not self._refusals:
                return "final"
        if status not in _LASTING and self._shortens(asked):
            return "shorter"
        return "final" if self.served or self._hopeless else "whole"

    def _shortens(self, asked: int) -> bool:
        if self._hopeless or asked <= max(self.served, _SMALL):
            return False
        self._refusals += 1
        self.most = max(_SMALL, self.served, asked // 4 if self.served else 0)
        return True

    def refuses_all(self) -> None:
        """The whole was refused as well: it was not the range that it did not like."""
        self.most, self._refusals, self._hopeless = _NO_LIMIT, 0, True


def read_range(
    connection: Connection,
    target: str,
    start: int,
    stop: int,
    size: int | None = None,
    validator: str = "",
) -> Iterator[memoryview]:
    """The bytes ``start`` up to ``stop``, in steps of at most 1 MiB, each valid until the next.

    ``size`` and ``validator`` are as for ``Connection.request``.

    Raises RequestFailed.
    """
    if start >= stop:
        return
    buffer = memoryview(bytearray(min(stop - start, STEP)))
    ranged = connection.request(target, start, stop, size, validator)
    skip = 0 if ranged else start  # a source that knows no ranges sends all from the first byte
    left = stop - start
    try:
        while left:
            count = connection.receive(buffer[: min(skip or left, len(buffer))])
            if skip:
                skip -= count
            elif count:
                left -= count
                yield buffer[:count]
    finally:
        connection.finish()
