"""Answers to requests for ranges: what follows a head is known to the byte, or it is refused.

The tables have what RFC 9110 (14.4, 15.3.7, 15.5.17), nginx's and Go's range tests let servers
answer, and what servers were seen to write.
"""

from __future__ import annotations

import sys
from typing import Any

import pytest

from regather.transport import Failure, RequestFailed
from regather.transport.head import Head
from regather.transport.ranges import (
    ContentRange,
    Manner,
    RangeAnswer,
    UselessRange,
    check_version,
    content_range,
    judge_range,
    judge_whole,
    told_size,
)

KIB, MIB = 1 << 10, 1 << 20


def head(status: int = 206, /, **headers: str) -> Head:
    return Head(status, {name.replace("_", "-"): value for name, value in headers.items()}, True)


@pytest.mark.parametrize(
    ("value", "span"),
    [
        ("bytes 42-1233/1234", ContentRange(42, 1234, 1234)),  # the examples of RFC 9110, 14.4
        ("bytes 42-1233/*", ContentRange(42, 1234, None)),
        ("bytes 0-0/1", ContentRange(0, 1, 1)),
        ("bytes=0-4/10", ContentRange(0, 5, 10)),
        ("bytes: 0-4/10", ContentRange(0, 5, 10)),
        ("Bytes 0-4/10", ContentRange(0, 5, 10)),
        ("BYTES\t0-4/10", ContentRange(0, 5, 10)),
        ("bytes  0 - 4 / 10", ContentRange(0, 5, 10)),
        ("0-4/10", ContentRange(0, 5, 10)),
        ("bytes 0-4", ContentRange(0, 5, None)),
        ("bytes 0-4/10, bytes 0-4/10", ContentRange(0, 5, 10)),  # a header that stands twice
        ("", None),
        ("bytes */1234", None),  # of a 416
        ("bytes 5-4/10", None),  # the last before the first
        ("bytes 0-10/10", None),  # the last behind the end
        ("bytes 0-4/10, bytes 5-9/10", None),
        ("bytes 0-4/", None),
        ("bytes 0-/10", None),
        ("bytes -4/10", None),
        ("bytes 0x0-0x4/10", None),
        ("bytes 0-4/10 junk", None),
        ("bytes ٠-٤/١٠", None),
        ("bytes 00000000000000000000-4/10", None),
        ("items 0-4/10", None),
    ],
)
def test_content_range(value: str, span: ContentRange | None) -> None:
    assert content_range(head(content_range=value)) == span


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("bytes */1234", 1234),
        ("bytes=*/1234", 1234),
        ("Bytes * / 1234", 1234),
        ("*/1234", 1234),
        ("bytes 0-4/10", None),
        ("", None),
    ],
)
def test_the_size_that_a_416_tells(value: str, size: int | None) -> None:
    assert told_size(head(416, content_range=value)) == size


@pytest.mark.parametrize("filling", [" ", "\t", "bytes", "bytes ", "0", "9-", ", ", "= "])
def test_a_long_content_range_takes_no_longer_than_it_is_long(filling: str) -> None:
    """Counted in steps of the interpreter; what the expression does is bounded by its length."""

    def steps(length: int) -> int:
        count = 0

        def step(*_: object) -> Any:
            nonlocal count
            count += 1
            return step

        told = head(content_range="bytes " + filling * (length // len(filling)) + "x")
        before = sys.gettrace()
        sys.settrace(step)
        try:
            assert content_range(told) is None
            assert told_size(told) is None
        finally:
            sys.settrace(before)
        return count

    assert steps(64 * KIB) <= 2.2 * steps(64)


@pytest.mark.parametrize(
    ("told", "answer"),
    [
        # exactly what was asked for: bytes 100 up to 200 of 1000
        (
            {"content_range": "bytes 100-199/1000", "content_length": "100"},
            RangeAnswer(True, 100, 0, 200),
        ),
        (
            {"content_range": "bytes 100-199/*", "content_length": "100"},
            RangeAnswer(True, 100, 0, 200),
        ),
        ({"content_range": "bytes 100-199/1000"}, RangeAnswer(True, 100, 0, 200)),
        # less
        (
            {"content_range": "bytes 100-149/1000", "content_length": "50"},
            RangeAnswer(True, 50, 0, 150),
        ),
        # more, with what was asked for in it
        (
            {"content_range": "bytes 64-255/1000", "content_length": "192"},
            RangeAnswer(True, 192, 36, 200),
        ),
        (
            {"content_range": "bytes 64-149/1000", "content_length": "86"},
            RangeAnswer(True, 86, 36, 150),
        ),
        # the whole
        ({"content_range": "bytes 0-999/1000", "content_length": "1000"}, RangeAnswer(False, 1000)),
        ({"content_range": "bytes 0-999/*", "content_length": "1000"}, RangeAnswer(False, 1000)),
    ],
)
def test_answers_that_hold_what_was_asked_for(told: dict[str, str], answer: RangeAnswer) -> None:
    assert judge_range(head(**told), "it", 100, 200, 1000, "") == answer


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"content_range": "bytes 101-200/1000", "content_length": "100"},
        {"content_range": "bytes 0-99/1000", "content_length": "100"},
        {"content_range": "bytes 200-299/1000", "content_length": "100"},
        {"content_range": "bytes 100-199/1000", "content_length": "99"},
        {"content_range": "bytes 100-199/1000", "content_length": "1000"},
        {"content_type": "multipart/byteranges; boundary=B", "content_length": "150"},
        {"content_type": "Multipart/ByteRanges; boundary=B", "content_range": "bytes 100-199/1000"},
    ],
)
def test_answers_that_are_of_no_use(told: dict[str, str]) -> None:
    with pytest.raises(UselessRange):
        judge_range(head(**told), "it", 100, 200, 1000, "")


@pytest.mark.parametrize("size", [1000, None])
def test_a_whole_that_is_as_long_as_the_range_may_be_the_range(size: int | None) -> None:
    told = head(200, content_length="100")
    with pytest.raises(UselessRange):
        judge_range(told, "it", 100, 200, size, "")
    assert judge_range(told, "it", 0, 100, 100, "") == RangeAnswer(False, 100)


@pytest.mark.parametrize("total", [999, 1001])
def test_another_size_is_another_object(total: int) -> None:
    told = head(content_range=f"bytes 100-199/{total}", content_length="100")
    with pytest.raises(RequestFailed, match=f"has {total} bytes, must have 1000") as caught:
        judge_range(told, "it", 100, 200, 1000, "")
    assert not isinstance(caught.value, UselessRange)
    with pytest.raises(RequestFailed, match=f"has {total} bytes, must have 1000"):
        judge_whole(head(200, content_length=str(total)), "it", 200, 1000, "")


def test_what_ends_before_what_was_asked_for() -> None:
    told = head(content_range="bytes 100-149/150", content_length="50")
    with pytest.raises(RequestFailed, match="has 150 bytes, must have 200"):
        judge_range(told, "it", 100, 200, None, "")
    with pytest.raises(RequestFailed, match="has 150 bytes, must have 200"):
        judge_whole(head(200, content_length="150"), "it", 200, None, "")


@pytest.mark.parametrize(
    ("told", "length"),
    [
        (head(200, content_length="1000"), 1000),
        (head(200), 1000),  # its size is known already
        (head(200, content_range="bytes 0-999/1000", content_length="1000"), 1000),
        (head(206, content_range="bytes 0-999/1000"), 1000),
        (head(206, content_range="bytes 0-999/*", content_length="1000"), 1000),
    ],
)
def test_the_whole(told: Head, length: int) -> None:
    assert judge_whole(told, "it", 200, 1000, "") == RangeAnswer(False, length)


@pytest.mark.parametrize(
    "told",
    [
        head(206),
        head(206, content_range="bytes 0-98/1000"),
        head(206, content_range="bytes 1-999/1000"),
        head(206, content_range="bytes 0-999/1000", content_length="999"),
        head(200, content_range="bytes 0-99/1000", content_length="100"),
    ],
)
def test_a_part_is_not_the_whole(told: Head) -> None:
    with pytest.raises(UselessRange):
        judge_whole(told, "it", 200, 1000, "")
    if told.status == 200:  # and a 200 is of the whole, whatever its Content-Range says
        with pytest.raises(UselessRange):
            judge_range(told, "it", 0, 100, None, "")


DATE, LATER = "Sat, 01 Jan 2022 00:00:00 GMT", "Sun, 02 Jan 2022 00:00:00 GMT"


@pytest.mark.parametrize(
    ("validator", "told", "same"),
    [
        # RFC 9110, 8.8.3.2: the table of weak comparison
        ('W/"1"', {"etag": 'W/"1"'}, True),
        ('W/"1"', {"etag": 'W/"2"'}, False),
        ('W/"1"', {"etag": '"1"'}, True),
        ('"1"', {"etag": '"1"'}, True),
        ('"1"', {"etag": 'W/"1"'}, True),
        ('"1"', {"etag": '"2"'}, False),
        ('"1"', {}, True),  # nothing to compare
        ('"1"', {"last_modified": DATE}, True),
        ('"1"', {"etag": '"1"', "last_modified": LATER}, True),
        (DATE, {"last_modified": DATE}, True),
        (DATE, {"last_modified": LATER}, False),
        (DATE, {"etag": '"1"', "last_modified": DATE}, True),
        (DATE, {"etag": '"1"'}, True),
        ("unquoted", {"etag": "unquoted"}, True),
        ("unquoted", {"etag": "other"}, False),
        ("", {"etag": '"1"'}, True),
    ],
)
def test_versions_are_compared_like_with_like(
    validator: str, told: dict[str, str], same: bool
) -> None:
    if same:
        check_version(head(**told), "it", validator)
        return
    with pytest.raises(RequestFailed) as caught:
        check_version(head(**told), "it", validator)
    assert caught.value.failure is Failure.CHANGED


def asked_of(manner: Manner, length: int, most: int) -> list[int]:
    """The lengths that are asked for, for ``length`` bytes, of who serves up to ``most``."""
    asked: list[int] = []
    left = length
    for _ in range(1000):
        if not left:
            return asked
        now = min(left, manner.most)
        asked.append(now)
        if now <= most:
            manner.accepts(now)
            left -= now
        elif manner.refused(403, now) != "shorter":
            return asked
    raise AssertionError(asked[:20])


@pytest.mark.parametrize("seen", [0, 16 * KIB, 2 * MIB])
def test_who_refuses_large_ranges_is_asked_for_smaller_ones(seen: int) -> None:
    manner = Manner(served=seen)
    asked = asked_of(manner, 64 * MIB, 4 * MIB)
    assert sum(length for length in asked if length <= 4 * MIB) == 64 * MIB
    assert sum(length > 4 * MIB for length in asked) <= 3
    # And from then on without a refusal.
    assert max(asked_of(manner, 64 * MIB, 4 * MIB)) <= 4 * MIB
    assert manner.most >= MIB


def test_who_refuses_all_is_asked_twice_more_and_then_no_more() -> None:
    manner = Manner()
    assert asked_of(manner, 16 * MIB, 0) == [16 * MIB, 64 * KIB]
    assert manner.refused(403, 64 * KIB) == "whole"
    manner.refuses_all()
    assert asked_of(manner, 16 * MIB, 0) == [16 * MIB]
    assert manner.refused(403, 16 * MIB) == "final"
    manner.accepts(MIB)
    assert manner.most > 16 * MIB


def test_a_refusal_of_what_was_served_before_is_not_for_its_length() -> None:
    manner = Manner(served=2 * MIB)
    assert manner.refused(403, 2 * MIB) == "final"


@pytest.mark.parametrize("status", [401, 404, 407, 410, 451])
def test_a_refusal_of_something_else_than_the_length_is_asked_for_whole_once(status: int) -> None:
    manner = Manner()
    assert manner.refused(status, 16 * MIB) == "whole"
    manner.refuses_all()
    assert manner.refused(status, 16 * MIB) == "final"
    assert Manner(served=MIB).refused(status, 16 * MIB) == "final"


@pytest.mark.parametrize("status", [None, 408, 425, 429, 500, 501, 502, 503, 504])
def test_what_may_pass_is_a_refusal_at_the_third_time(status: int | None) -> None:
    def asked(manner: Manner, length: int, times: int) -> list[str]:
        return [manner.refused(status, length) for _ in range(times)]

    assert asked(Manner(), KIB, 3) == ["final", "final", "whole"]
    assert asked(Manner(), MIB, 3) == ["final", "final", "shorter"]
    served = Manner(served=16 * KIB)
    assert asked(served, MIB, 3) == ["final", "final", "shorter"]
    assert served.most == 256 * KIB
    served.accepts(256 * KIB)
    assert asked(served, 256 * KIB, 6) == ["final"] * 6
    assert asked(served, 512 * KIB, 1) == ["shorter"]  # it was refused before
    busy = Manner()
    for _ in range(5):
        assert asked(busy, KIB, 2) == ["final"] * 2
        busy.accepts(KIB)
    hopeless = Manner()
    hopeless.refuses_all()
    assert asked(hopeless, MIB, 6) == ["final"] * 6


@pytest.mark.parametrize("status", [304, 412])
def test_a_condition_that_was_not_met_is_left_out(status: int) -> None:
    assert Manner(served=MIB).refused(status, 16 * MIB) == "whole"
