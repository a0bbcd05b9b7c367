"""What is said of fragments that could not be had."""

from __future__ import annotations

import pytest

from regather.engine import SourceTally
from regather.engine.missing import all_refused, missing_lines, without_address
from regather.model import Fragment, FragmentIndex, FragmentPosition, Layout, Source


def layout(count: int) -> Layout:
    fragments = [Fragment(FragmentIndex(n + 1), f"f{n}", 10 * n, 10) for n in range(count)]
    return Layout(10 * count, 64, tuple(fragments))


def test_a_server_with_many_fragments_is_one_line() -> None:
    sources = [
        Source("http://a:1/", None),
        Source("http://b:2/", frozenset(map(FragmentPosition, (0, 1)))),
    ]
    tallies = [SourceTally(last_error="a:1: Connection refused"), SourceTally()]
    tallies[1].refused[0] = "http://b:2/f0: HTTP 404; check the address"
    lines = missing_lines(layout(30), sources, tallies, range(30))
    assert lines == (
        "http://a:1/: Connection refused (all 30 of them)",
        "http://b:2/: HTTP 404; check the address (f0)",
        "http://b:2/: was not tried (f1)",
    )


def test_fragments_that_nobody_has_are_named() -> None:
    lines = missing_lines(
        layout(9),
        [Source("http://b:2/", frozenset((FragmentPosition(0),)))],
        [SourceTally()],
        range(9),
    )
    assert lines[-1] == "no source has f1, f2, f3, f4 and 4 more"


def test_many_sources_are_counted() -> None:
    sources = [Source(f"http://s{n}/") for n in range(3000)]
    lines = missing_lines(layout(1), sources, [SourceTally() for _ in sources], (0,))
    assert len(lines) == 21
    assert lines[0] == "http://s0/: was not tried", "of one fragment the name says nothing"
    assert lines[-1] == "and 2980 more"


def test_whether_waiting_can_help() -> None:
    sources = [Source("http://a/"), Source("http://b/", frozenset((FragmentPosition(1),)))]
    tallies = [SourceTally(refused={0: "HTTP 404"}), SourceTally()]
    assert all_refused(sources, tallies, (0,))
    tallies[0].refused[1] = "HTTP 404"
    assert not all_refused(sources, tallies, (0, 1))


@pytest.mark.parametrize(
    ("what", "url", "told"),
    [
        ("a:1: Connection refused", "http://a:1/", "Connection refused"),
        ("http://a:1/f: http://a:1/f: HTTP 404", "http://a:1/", "HTTP 404"),
        ("/srv/d/f: not there", "/srv/d/", "not there"),
        ("http://other/f: HTTP 404", "http://a:1/", "http://other/f: HTTP 404"),
        ("redirected to a:1: twice", "http://a:1/", "redirected to a:1: twice"),
    ],
)
def test_reasons_lose_their_address(what: str, url: str, told: str) -> None:
    assert without_address(what, url) == told
