"""Ranges: the tables of Go's net/http (TestParseRange, ServeFileRangeTests), nginx's, and ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regather.server.ranges import MAX_RANGES, ByteRange, UnsatisfiableRange, parse_ranges
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
    assert parse_ranges([header], 10) == [span]


@pytest.mark.parametrize(
    ("headers", "spans"),
    [
        (["bytes=0-1,3-4"], [(0, 2), (3, 5)]),
        (["bytes=0-1, 3-4"], [(0, 2), (3, 5)]),
        (["bytes=0-2,5-"], [(0, 3), (5, 10)]),
        (["bytes=5-,0-2"], [(5, 10), (0, 3)]),  # 15.3.7.2: in the order of the request
        (["bytes=0-1", "3-4"], [(0, 2), (3, 5)]),
        (["bytes=0-0,-1"], [(0, 1), (9, 10)]),
        (["bytes=0-0,99-"], [(0, 1)]),  # what lies beyond the end is left out
        (["bytes=99-,-0,3-3"], [(3, 4)]),
        (["bytes=0-,5-"], [(0, 10)]),  # what overlaps or touches is one range
        (["bytes=0-1,2-3"], [(0, 4)]),
        (["bytes=2-3,0-1"], [(0, 4)]),
        (["bytes=8-9,2-3,0-0,3-5"], [(8, 10), (2, 6), (0, 1)]),
        (["bytes=4-6,0-0,8-8,5-7"], [(4, 9), (0, 1)]),
        (["bytes=0-,0-,0-,0-"], [(0, 10)]),
        (["bytes=" + "3-3," * 2000], [(3, 4)]),
    ],
    ids=lambda value: str(value)[:40],
)
def test_several_ranges(headers: list[str], spans: list[tuple[int, int]]) -> None:
    assert parse_ranges(headers, 10) == spans


def test_more_ranges_than_are_worth_it_are_the_whole_file() -> None:
    """As nginx with ``max_ranges 16``."""
    apart = [f"{2 * n}-{2 * n}" for n in range(MAX_RANGES + 1)]
    assert len(parse_ranges(["bytes=" + ",".join(apart[:-1])], 1000) or ()) == MAX_RANGES
    assert parse_ranges(["bytes=" + ",".join(apart)], 1000) is None


@pytest.mark.parametrize(
    "header",
    [
        "",
        # 14.2: a unit that is not understood must be ignored; Go answers 416
        *("items=0-1", "keks=0-5", "foo"),
        # 14.2: malformed ranges may be ignored, one in a list with all others
        *("bytes=-", "bytes=a-b", "bytes=1", "bytes=5-4", "bytes=0-1,5-4", "bytes=x,0-1"),
        *("bytes", "bytes=", "bytes=--1", "bytes=+1-2", "bytes=0x1-2", "bytes=٣-", "bytes=1--2"),
        *("bytes=; ", "bytes=A-", "bytes=A- ", "bytes=A-Z", "bytes= -Z", "bytes=-Z", "bytes=5-Z"),
        *("bytes=Ran-dom", "bytes=0x01-0x02", "bytes=\xa01-2", "bytes=,", "bytes=0--1"),
        *("bytes= - ", "bytes=1 2-3", "bytes=-1-2", "bytes=1-2-3", "bytes=²-"),
    ],
)
def test_what_is_ignored(header: str) -> None:
    assert parse_ranges([header], 10) is None


def test_no_header_is_no_range() -> None:
    assert parse_ranges([], 10) is None


@pytest.mark.parametrize(
    "header",
    [
        *("bytes=10-", "bytes=10-12", "bytes=20-", "bytes=-0", "bytes=10-,-0", "bytes=99-, 98-"),
        "bytes=" + "9" * 5000 + "-",
    ],
    ids=lambda header: repr(header[:20]),
)
def test_what_cannot_be_had(header: str) -> None:
    with pytest.raises(UnsatisfiableRange):
        parse_ranges([header], 10)


@pytest.mark.parametrize(
    "header", ["bytes=0-", "bytes=0-0", "bytes=0-99", "bytes=-1", "bytes=-0", "bytes=5-", "x"]
)
def test_of_an_empty_file_all_is_sent(header: str) -> None:
    """As nginx and Go do. RFC 9110 14.1.2: a suffix is satisfiable; 14.2: others may be ignored."""
    assert parse_ranges([header], 0) is None


_BOUNDS = st.tuples(st.none() | st.integers(0, 120), st.none() | st.integers(0, 120))


@given(st.integers(1, 100), st.lists(_BOUNDS, min_size=1, max_size=MAX_RANGES))
def test_ranges_name_the_bytes_that_slices_would(
    size: int, bounds: list[tuple[int | None, int | None]]
) -> None:
    wanted: set[int] = set()
    malformed = False
    for first, last in bounds:
        malformed |= (first, last) == (None, None)
        if first is not None:
            malformed |= last is not None and last < first
            wanted.update(range(first, size if last is None else min(last + 1, size)))
        elif last is not None:
            wanted.update(range(max(size - last, 0), size))
    texts = (f"{'' if a is None else a}-{'' if b is None else b}" for a, b in bounds)
    try:
        spans = parse_ranges(["bytes=" + ",".join(texts)], size)
    except UnsatisfiableRange:
        assert not malformed
        assert wanted == set()
    else:
        assert (spans is None) == malformed
        positions = [p for span in spans or () for p in range(*span)]
        assert malformed or sorted(positions) == sorted(wanted)


@given(st.text(), st.integers(0, 2**63))
def test_any_text_is_ranges_inside_the_file_or_none(text: str, size: int) -> None:
    for header in (text, f"bytes={text}"):
        try:
            spans = parse_ranges([header], size)
        except UnsatisfiableRange:
            continue
        assert all(0 <= start < stop <= size for start, stop in spans or ())


@pytest.mark.parametrize("piece", [" ", "\t", "0", "1-", "-", ",", " ,", "1-2,", "0-1 , ", "\xa0"])
def test_long_ranges_cost_no_more_than_their_length(piece: str) -> None:
    def read(count: int) -> None:
        for header in (f"bytes=1-{piece * count}x", f"bytes={piece * count}", piece * count):
            try:
                parse_ranges([header], 1000)
            except UnsatisfiableRange:
                pass

    assert_linear(read, 1000)
