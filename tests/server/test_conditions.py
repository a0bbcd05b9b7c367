from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regather.server.conditions import (
    Span,
    UnsatisfiableRange,
    parse_range,
    precondition,
    range_applies,
)


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("bytes=0-0", Span(0, 1)),
        ("bytes=2-5", Span(2, 6)),
        ("bytes=2-", Span(2, 10)),
        ("bytes=0-9999", Span(0, 10)),
        ("bytes=-3", Span(7, 10)),
        ("bytes=-9999", Span(0, 10)),
        ("Bytes= 1 - 2 ", Span(1, 3)),
        ("bytes=" + "0" * 5000 + "1-" + "9" * 5000, Span(1, 10)),
        ("bytes=-" + "9" * 5000, Span(0, 10)),
    ],
)
def test_one_range(header: str, span: Span) -> None:
    assert parse_range(header, 10) == span


@pytest.mark.parametrize("header", [None, "items=0-1", "bytes=0-1,3-4", ""])
def test_what_is_ignored(header: str | None) -> None:
    assert parse_range(header, 10) is None


@pytest.mark.parametrize(
    "header",
    [
        *("bytes=10-", "bytes=10-12", "bytes=5-4", "bytes=-0", "bytes=-", "bytes=a-b", "bytes=1"),
        *("bytes", "bytes=", "bytes=--1", "bytes=+1-2", "bytes=0x1-2", "bytes=٣-"),
        "bytes=" + "9" * 5000 + "-",
    ],
    ids=lambda header: repr(header[:20]),
)
def test_what_cannot_be_had(header: str) -> None:
    with pytest.raises(UnsatisfiableRange):
        parse_range(header, 10)


def test_an_empty_file_has_no_range() -> None:
    for header in ("bytes=0-", "bytes=0-0", "bytes=-1"):
        with pytest.raises(UnsatisfiableRange):
            parse_range(header, 0)


@given(st.integers(0, 100), st.none() | st.integers(0, 120), st.none() | st.integers(0, 120))
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
        span = parse_range(header, size)
    except UnsatisfiableRange:
        assert wanted == []
    else:
        assert span is not None
        assert list(range(span.start, span.stop)) == wanted


@given(st.text(), st.integers(0, 2**63))
def test_any_text_is_a_range_inside_the_file_or_none(text: str, size: int) -> None:
    for header in (text, f"bytes={text}"):
        try:
            span = parse_range(header, size)
        except UnsatisfiableRange:
            continue
        assert span is None or 0 <= span.start < span.stop <= size


def test_if_range_takes_the_very_version_only() -> None:
    date = "Tue, 24 Nov 2026 11:24:22 GMT"
    assert range_applies(None, "tag", date)
    assert range_applies('"tag"', "tag", date)
    assert range_applies(date, "tag", date)
    for other in ('W/"tag"', '"other"', "tag", "Tue, 24 Nov 2026 11:24:23 GMT", ""):
        assert not range_applies(other, "tag", date)


@dataclass
class Tag:
    value: str
    is_weak: bool = False


def test_preconditions() -> None:
    weak, strong, other, star = Tag("tag", True), Tag("tag"), Tag("other"), Tag("*")
    assert precondition("tag", 100) == 200
    assert precondition("tag", 100, if_none_match=[other, weak]) == 304
    assert precondition("tag", 100, if_none_match=[star]) == 304
    assert precondition("tag", 100, if_none_match=[other], if_modified_since=100) == 200
    assert precondition("tag", 100, if_modified_since=100) == 304
    assert precondition("tag", 100, if_modified_since=99) == 200
    assert precondition("tag", 100, if_match=[other, strong]) == 200
    assert precondition("tag", 100, if_match=[star]) == 200
    assert precondition("tag", 100, if_match=[weak]) == 412
    assert precondition("tag", 100, if_match=[strong], if_unmodified_since=1) == 200
    assert precondition("tag", 100, if_unmodified_since=99) == 412
    assert precondition("tag", 100, if_unmodified_since=100) == 200
    assert precondition("tag", 100, if_match=[other], if_none_match=[strong]) == 412
