"""Sizes, rates, durations, names, URLs."""

from __future__ import annotations

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regather.errors import UsageError, is_disk_full, printable
from regather.names import flaw_of, split_url, suffixed
from regather.units import (
    counted,
    format_duration,
    format_exact,
    format_rate,
    format_size,
    parse_size,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("17", 17),
        ("100MB", 100_000_000),
        ("100MiB", 100 << 20),
        ("1.5GiB", 3 << 29),
        ("2k", 2000),
        ("2 Kib", 2048),
        (" 1tb ", 10**12),
        ("0.5KB", 500),
        ("1EiB", None),
        ("1024PiB", 1 << 60),
        ("1025PiB", None),
        ("0.3", None),
        ("1..5M", None),
        ("MB", None),
        ("１MB", None),
    ],
)
def test_parse_size(text: str, size: int | None) -> None:
    if size is None:
        with pytest.raises(UsageError):
            parse_size(text)
    else:
        assert parse_size(text) == size


@given(st.text())
def test_parse_size_never_fails_otherwise(text: str) -> None:
    told = ""
    try:
        assert parse_size(text) >= 0
    except UsageError as error:
        told = str(error)
    assert "\n" not in told


def test_for_people() -> None:
    assert format_size(0) == "0 B"
    assert format_size(1536) == "1.5 KiB"
    assert format_size(1 << 60) == "1024.0 PiB"
    assert format_exact(1023) == "1023 B"
    assert format_exact(100_000_000) == "95.4 MiB (100000000 bytes)"
    assert format_rate(2.0**20) == "1.0 MiB/s"
    assert format_duration(0.4231) == "0.42 s"
    assert format_duration(65) == "1:05"
    assert format_duration(7384) == "2:03:04"


def test_how_many() -> None:
    assert [counted(n, "file") for n in (0, 1, 2)] == ["0 files", "1 file", "2 files"]
    assert [counted(n, "copy", "copies") for n in (1, 2)] == ["1 copy", "2 copies"]


@given(st.text(min_size=1), st.sampled_from([".regather-part", ".regather.json"]))
def test_a_suffixed_name_fits(name: str, suffix: str) -> None:
    if flaw_of(name):
        return
    made = suffixed(name, suffix)
    assert made.endswith(suffix)
    assert len(made.encode()) <= 255


def test_long_names_stay_apart() -> None:
    one, two = "ä" * 120 + "1" * 15, "ä" * 120 + "1" * 14 + "2"
    assert suffixed(one, ".regather-part") != suffixed(two, ".regather-part")


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\\b", "a\0", "\x7f", "\ud800", "x" * 256])
def test_names_that_are_not_plain(name: str) -> None:
    assert flaw_of(name)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://", "no host"),
        ("http://:80/", "no host"),
        ("http://h:99999/", "not a URL"),
        ("http://[::1/", "not a URL"),
        ("http://a..b/", "not a URL"),
        ("http://a b/", "not a URL"),
        ("http://a\0b/", "not a URL"),
        ("ftp://a\x7fb/", "not a URL"),
        ("http://h/\ud800", "not a URL"),
        ("file:///etc/passwd", "not az://, ftp://, .* or sftp://"),
        ("h:80/f", "not az://, ftp://, .* or sftp://"),
        ("", "not az://, ftp://, .* or sftp://"),
        ("ftp://" + "x" * 5000, r"\.\.\."),
    ],
)
def test_urls_that_are_none(url: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        split_url(url)
    assert len(str(caught.value)) < 300


def test_a_host_beyond_the_longest_name_is_not_converted() -> None:
    assert split_url(f"http://{'ü.' * 126}x/").hostname
    assert split_url(f"http://{'a.' * 126}x./").hostname
    for letter in "üa":
        with pytest.raises(ValueError, match="not a URL"):
            split_url(f"http://{f'{letter}.' * 126}xx/")


def test_urls() -> None:
    parts = split_url("HTTPS://Exämple.org:8443/a%20b?q")
    assert (parts.scheme, parts.port, parts.path) == ("https", 8443, "/a%20b")
    assert split_url("http://[::1]:80/").hostname == "::1"


def test_a_full_disk_has_several_names() -> None:
    assert is_disk_full(OSError(errno.ENOSPC, ""))
    assert is_disk_full(OSError(errno.EDQUOT, ""))
    assert is_disk_full(OSError(errno.EFBIG, ""))
    assert not is_disk_full(OSError(errno.EIO, ""))


def test_what_others_say_cannot_move_the_cursor() -> None:
    assert printable("a\x1b]0;t\x07\nb ü") == "a\\x1b]0;t\\x07\\nb ü"
    error = UsageError("\x1b[2J", help="\x9b", details=("\r",))
    assert str(error) == "\\x1b[2J; \\x9b"
    assert error.details == ("\\r",)
