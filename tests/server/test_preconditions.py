"""Preconditions (RFC 9110, 13): the tables of Go's net/http, nginx and werkzeug, and ours."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from regather.server.dates import parse_http_date
from regather.server.preconditions import (
    Preconditions,
    UnreadableCondition,
    Version,
    range_applies,
)
from tests.support.steps import assert_linear

SECOND = 1403716338
VERSION = Version(SECOND * 10**9 + 5, 10)
TAG = VERSION.tag
BEFORE, EXACT, AFTER = (f"Wed, 25 Jun 2014 17:12:{second} GMT" for second in ("17", "18", "19"))
GO_ON, SAME, FAILED = 200, 304, 412


def conditions(*lines: str) -> Preconditions:
    """What header lines demand; ``$`` stands for the file's tag."""
    parted = (line.replace("$", f'"{TAG}"').partition(": ") for line in lines)
    return Preconditions.of(CIMultiDict((name, value) for name, _, value in parted))


@pytest.mark.parametrize(
    ("lines", "reading", "writing"),
    [
        ([], GO_ON, True),
        # If-Match: 13.1.1, strongly compared
        (["If-Match: *"], GO_ON, True),
        (["If-Match: $"], GO_ON, True),
        (["If-Match: W/$"], FAILED, False),
        (['If-Match: "a"'], FAILED, False),
        (['If-Match: "a", $'], GO_ON, True),
        (['If-Match: "a",$,"b"'], GO_ON, True),
        (['If-Match: W/"a", $'], GO_ON, True),
        (["If-Match: , $"], GO_ON, True),
        (["If-Match:  ,\t, $ ,, "], GO_ON, True),
        (['If-Match: "a"', "If-Match: $"], GO_ON, True),
        (['If-Match: "a,b", $'], GO_ON, True),
        (['If-Match: "*"'], FAILED, False),  # 8.8.3: a tag like any other
        (['If-Match: ""'], FAILED, False),
        (["If-Match: "], FAILED, False),
        (["If-Match: tag"], FAILED, False),
        (["If-Match: w/$"], FAILED, False),  # 8.8.3: W/ has a capital letter
        (['If-Match: *, "a"'], FAILED, False),  # 13.1.1: * or a list; Go goes on
        (["If-Match: " + TAG], FAILED, False),  # werkzeug takes it without quotes
        # If-Unmodified-Since: 13.1.4
        ([f"If-Unmodified-Since: {BEFORE}"], FAILED, False),
        ([f"If-Unmodified-Since: {EXACT}"], GO_ON, True),
        ([f"If-Unmodified-Since: {AFTER}"], GO_ON, True),
        (["If-Unmodified-Since: Wednesday, 25-Jun-14 17:12:17 GMT"], FAILED, False),
        (["If-Unmodified-Since: Wed Jun 25 17:12:17 2014"], FAILED, False),
        (["If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"], FAILED, False),
        (["If-Unmodified-Since: yesterday"], GO_ON, True),  # 13.1.4: must be ignored
        ([f"If-Unmodified-Since: {BEFORE}", f"If-Unmodified-Since: {AFTER}"], GO_ON, True),
        (["If-Match: $", f"If-Unmodified-Since: {BEFORE}"], GO_ON, True),  # 13.2.2
        (['If-Match: "a"', f"If-Unmodified-Since: {AFTER}"], FAILED, False),
        # If-None-Match: 13.1.2, weakly compared
        (["If-None-Match: *"], SAME, False),
        (["If-None-Match: $"], SAME, False),
        (["If-None-Match: W/$"], SAME, False),
        (['If-None-Match: "a"'], GO_ON, True),
        (['If-None-Match: "a", W/"b", $'], SAME, False),
        (["If-None-Match: , $"], SAME, False),
        (["If-None-Match: ,,\t$,"], SAME, False),
        (['If-None-Match: "a"', "If-None-Match: $"], SAME, False),
        (['If-None-Match: "", $'], SAME, False),
        (['If-None-Match: "*"'], GO_ON, True),
        (['If-None-Match: "a,b", $'], SAME, False),
        (["If-None-Match: "], GO_ON, True),
        # If-Modified-Since: 13.1.3, for GET and HEAD only
        ([f"If-Modified-Since: {BEFORE}"], GO_ON, True),
        ([f"If-Modified-Since: {EXACT}"], SAME, True),
        ([f"If-Modified-Since: {AFTER}"], SAME, True),  # nginx compares exactly, unless told
        (["If-Modified-Since: Wednesday, 25-Jun-14 17:12:18 GMT"], SAME, True),
        (["If-Modified-Since: Wed Jun 25 17:12:18 2014"], SAME, True),
        (["If-Modified-Since: Wed, 25 Jun 2014 17:12:18 +0000"], GO_ON, True),  # is no HTTP-date
        ([f"If-Modified-Since: {EXACT}", f"If-Modified-Since: {EXACT}"], GO_ON, True),
        (['If-None-Match: "a"', f"If-Modified-Since: {AFTER}"], GO_ON, True),
        (["If-None-Match: $", f"If-Modified-Since: {BEFORE}"], SAME, False),
        # The order: 13.2.2
        (['If-Match: "a"', "If-None-Match: $"], FAILED, False),
        (["If-Match: $", "If-None-Match: $"], SAME, False),
        ([f"If-Unmodified-Since: {BEFORE}", f"If-Modified-Since: {EXACT}"], FAILED, False),
        (["If-Match: $", f"If-Modified-Since: {EXACT}"], SAME, True),
    ],
    ids=lambda value: " + ".join(value)[:70] if isinstance(value, list) else "",
)
def test_of_a_file_that_is_there(lines: list[str], reading: int, writing: bool) -> None:
    read = conditions(*lines)
    assert read.for_reading(VERSION) == reading
    assert read.for_writing(VERSION) is writing


@pytest.mark.parametrize(
    "line",
    ["If-None-Match: tag", 'If-None-Match: *, "a"', 'If-None-Match: "a', 'If-None-Match: "a"b'],
)
def test_what_cannot_be_read_is_never_a_leave_to_write(line: str) -> None:
    """Nobody knows what it protects; a body more for who reads does no harm."""
    assert conditions(line).for_reading(VERSION) == GO_ON
    for version in (VERSION, None):
        with pytest.raises(UnreadableCondition):
            conditions(line).for_writing(version)


@pytest.mark.parametrize(
    ("line", "writing"),
    [
        ("If-Match: *", False),
        ("If-Match: $", False),
        ("If-None-Match: *", True),
        ("If-None-Match: $", True),
        (f"If-Unmodified-Since: {BEFORE}", True),  # 13.1.4: ignored where there is no date
        (f"If-Modified-Since: {AFTER}", True),
    ],
)
def test_where_no_file_is(line: str, writing: bool) -> None:
    assert conditions(line).for_writing(None) is writing


@pytest.mark.parametrize(
    ("line", "new"), [("*", True), (" * ", True), ('"*"', False), ("$", False)]
)
def test_new_files_only(line: str, new: bool) -> None:
    assert conditions(f"If-None-Match: {line}").new_only is new
    assert not conditions().new_only


@pytest.mark.parametrize(
    ("lines", "applies"),
    [
        ([], True),
        ([f'"{TAG}"'], True),
        ([f' "{TAG}"\t'], True),
        ([EXACT], True),
        (["Wednesday, 25-Jun-14 17:12:18 GMT"], True),
        (["Wed Jun 25 17:12:18 2014"], True),
        # 13.1.5: compared strongly, a date exactly; anything else sends the whole
        ([f'W/"{TAG}"'], False),
        (['"other"'], False),
        ([TAG], False),
        ([BEFORE], False),
        ([AFTER], False),
        ([""], False),
        (["*"], False),
        ([f'"{TAG}", "a"'], False),
        ([f'"{TAG}"', EXACT], False),
    ],
)
def test_if_range_takes_the_very_version_only(lines: list[str], applies: bool) -> None:
    assert range_applies(lines, VERSION) is applies


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        # RFC 9110 5.6.7 has these three
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Wed, 31 Dec 1969 23:59:59 GMT", -1),
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1483228800),
        ("Thu, 29 Feb 2024 00:00:00 GMT", 1709164800),
        (" Sun, 06 Nov 1994 08:49:37 GMT\t", 784111777),
        # Two digits of a year never mean more than fifty years ahead; it is 2026 here.
        ("Saturday, 01-Jan-76 00:00:00 GMT", 3345062400),
        ("Saturday, 01-Jan-77 00:00:00 GMT", 220924800),
        ("Thu, 30 Feb 2024 00:00:00 GMT", None),
        ("Sun, 06 Nov 1994 24:00:00 GMT", None),
        ("Sun, 06 Nov 1994 08:49:61 GMT", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
        ("Sun, 6 Nov 1994 08:49:37 GMT", None),
        ("sun, 06 nov 1994 08:49:37 gmt", None),  # case-sensitive
        ("Sun, 06 Nov 1994 08:49:37 CET", None),
        ("Sun, 06 Nov 1994 08:49:37", None),
        ("1994-11-06T08:49:37Z", None),
        ("784111777", None),
        ("Sun, ٠٦ Nov 1994 08:49:37 GMT", None),
        ("", None),
    ],
)
def test_dates(text: str, seconds: int | None) -> None:
    assert parse_http_date(text, now=1795000000) == seconds


@given(st.lists(st.text(alphabet='W/"*, \ta'), max_size=3), st.booleans())
def test_any_text_is_read(lines: list[str], match: bool) -> None:
    name = "If-Match" if match else "If-None-Match"
    read = conditions(*(f"{name}: {line}" for line in lines))
    assert read.for_reading(VERSION) in (GO_ON, SAME, FAILED)
    try:
        read.for_writing(VERSION)
    except UnreadableCondition:
        assert not match


@pytest.mark.parametrize("piece", [" ", ",", " ,", '"', '"a",', "W/", "*", "*,", 'W/"a" , ', "a"])
def test_long_conditions_cost_no_more_than_their_length(piece: str) -> None:
    def read(count: int) -> None:
        for name in ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"):
            conditions(f"{name}: {piece * count}x").for_reading(VERSION)
        conditions(*[f"If-None-Match: {piece}"] * count).for_reading(VERSION)
        range_applies([piece * count], VERSION)

    assert_linear(read, 500)
