"""Ranges: the tables of Go's net/http (TestParseRange, ServeFileRangeTests), nginx's, and ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regather.server.ranges import ByteRange, UnsatisfiableRange, parse_range
from tests.support.steps import assert_linear


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", ByteRange(0, 1)),
        ("bytes=2-5", ByteRange(2, 6)),
        ("bytes=2-", ByteRange(2, 10)),
        ("bytes=0-9", ByteRange(0, 10)),
        ("bytes=0-", ByteRange(0, 10)),
        ("bytes=5-", ByteRange(5, 10)),
        ("bytes=0-20", ByteRange(0, 10)),
        ("bytes=1-2", ByteRange(1, 3)),
        ("bytes=0-9999", ByteRange(0, 10)),
        ("bytes=-3", ByteRange(7, 10)),
        ("bytes=-9999", ByteRange(0, 10)),
        ("bytes=   1 -2   ", ByteRange(1, 3)),
        ("bytes= 1 - 2 ", ByteRange(1, 3)),
        ("bytes=1- 2", ByteRange(1, 3)),
        ("bytes=1 -2", ByteRange(1, 3)),
        ("Bytes=1-2", ByteRange(1, 3)),  # RFC 9110 14.1: range units are compared without case
        (
            "bytes=,0-1",
            ByteRange(0, 2),
        ),  # 5.6.1.2: lists may have empty elements; nginx answers 416
        ("bytes=0-1,", ByteRange(0, 2)),
        ("bytes= , , 0-1 ,\t,", ByteRange(0, 2)),
        ("bytes=" + "0" * 5000 + "1-" + "9" * 5000, ByteRange(1, 10)),
        ("bytes=-" + "9" * 5000, ByteRange(0, 10)),
    ],
)
def test_one_range(header: str, span: ByteRange) -> None:
    assert parse_range([header], 10) == span


@pytest.mark.parametrize(
    "headers",
    [
        [],
        ["items=0-1"],  # 14.2: a unit that is not understood must be ignored; Go answers 416
        ["keks=0-5"],
        [""],
        ["foo"],
        # 14.2: any Range may be ignored, and so are several ranges at once
        ["bytes=0-1,3-4"],
        ["bytes=0-1, 3-4"],
        ["bytes=0-2,5-"],
        ["bytes=0-", "bytes=5-"],
        ["bytes=0-,0-,0-,0-"],
        ["bytes=0-1", "3-4"],
    ],
)
def test_what_is_ignored(headers: list[str]) -> None:
    assert parse_range(headers, 10) is None


@pytest.mark.parametrize(
    "header",
    [
        *("bytes=10-", "bytes=10-12", "bytes=5-4", "bytes=-0", "bytes=-", "bytes=a-b", "bytes=1"),
        *("bytes", "bytes=", "bytes=--1", "bytes=+1-2", "bytes=0x1-2", "bytes=٣-", "bytes=1--2"),
        *("bytes=; ", "bytes=A-", "bytes=A- ", "bytes=A-Z", "bytes= -Z", "bytes=-Z", "bytes=5-Z"),
        *(
            "bytes=Ran-dom, garbage"[:13],
            "bytes=0x01-0x02",
            "bytes=\xa01-2",
            "bytes=20-",
            "bytes=,",
        ),
        *("bytes= - ", "bytes=1 2-3", "bytes=-1-2", "bytes=1-2-3", "bytes=²-"),
        "bytes=" + "9" * 5000 + "-",
    ],
    ids=lambda header: repr(header[:20]),
)
def test_what_cannot_be_had(header: str) -> None:
    with pytest.raises(UnsatisfiableRange):
        parse_range([header], 10)


@pytest.mark.parametrize(
    "header", ["bytes=0-", "bytes=0-0", "bytes=0-99", "bytes=-1", "bytes=-0", "bytes=5-", "x"]
)
def test_of_an_empty_file_all_is_sent(header: str) -> None:
    """As nginx and Go do. RFC 9110 14.1.2: a suffix is satisfiable; 14.2: others may be ignored."""
    assert parse_range([header], 0) is None


@given(st.integers(1, 100), st.none() | st.integers(0, 120), st.none() | st.integers(0, 120))
def test_ranges_name_the_bytes_a_slice_would(
    size: int, first: int | None, last: int | None
) -> None:
    positions = range(size)
    if first is not None:
        wanted = [p for p in positions if p >= first and (last is None or p <= last)]
    else:
        wanted = [p for p in positions if last is not None and p >= size - last]
    header = f"bytes={'' if first is None else first}-{'' if last is None else last}"
    try:
        span = parse_range([header], size)
    except UnsatisfiableRange:
        assert wanted == []
    else:
        assert span is not None
        assert list(range(span.start, span.stop)) == wanted


@given(st.text(), st.integers(0, 2**63))
def test_any_text_is_a_range_inside_the_file_or_none(text: str, size: int) -> None:
    for header in (text, f"bytes={text}"):
        try:
            span = parse_range([header], size)
        except UnsatisfiableRange:
            continue
        assert span is None or 0 <= span.start < span.stop <= size


@pytest.mark.parametrize("piece", [" ", "\t", "0", "1-", "-", ",", " ,", "1-2,", "0-1 , ", "\xa0"])
def test_long_ranges_cost_no_more_than_their_length(piece: str) -> None:
    def read(count: int) -> None:
        for header in (f"bytes=1-{piece * count}x", f"bytes={piece * count}", piece * count):
            try:
                parse_range([header], 1000)
            except UnsatisfiableRange:
                pass

    assert_linear(read, 1000)
