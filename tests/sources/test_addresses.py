"""What is a host, what a folder: nobody's data goes into a folder that is named like a server."""

from __future__ import annotations

from pathlib import Path

import pytest

import regather
from regather.errors import UsageError
from regather.sources.addresses import base_url, checked_url, scheme_forgotten, with_scheme
from tests.support.files import random_file
from tests.support.small import PIECE, small

HOSTS = (
    "eu.example.org/data",
    "example.org",
    "EXAMPLE.ORG",
    "localhost",
    "www.example.org/pub/",
    "münchen.example/x",
    "10.0.0.1/x",
    "[::1]/x",
    "remote:bucket/x",
    "me@host.example/x",
    "me@host:/x",
    "host.example:/x",
    "example.org:/x",
)
FOLDERS = (
    *("data", "data/x.org/y", "./example.org", "../example.org", "/example.org/x", ".hidden"),
    *("v1.2", "out.2026", "a b.org", "dir/a:b", "~/x.org", "https://example.org/x"),
)


@pytest.mark.parametrize("text", HOSTS)
def test_a_host_without_a_scheme_is_no_folder(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = random_file(tmp_path / "file", 1000)
    manifest = small([PIECE], parity=0).write(tmp_path / "hosted", {"server1": [1]})
    calls = (
        lambda: regather.publish(file, text, fragments=1),
        lambda: regather.repair(manifest, to=[text]),
        lambda: regather.check(manifest, servers=[text]),
        lambda: regather.download(manifest, "copy", servers=[text]),
        lambda: regather.split(file, "out", servers=1, at=[text]),
    )
    before = sorted(tmp_path.iterdir())
    for call in calls:
        with pytest.raises(UsageError) as caught:
            call()
        assert text.removeprefix("me@") in caught.value.what, "a login is not shown"
        assert "URL" in caught.value.help or "https://" in caught.value.help
    assert sorted(tmp_path.iterdir()) == before
    with pytest.raises(UsageError, match=r"looks like a host.*https://"):
        calls[0]()


@pytest.mark.parametrize("text", FOLDERS)
def test_what_is_no_host(text: str) -> None:
    assert scheme_forgotten(text) is None


def test_a_folder_that_is_there_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = random_file(tmp_path / "file", 1000)
    (tmp_path / "example.org").mkdir()
    assert base_url("example.org") == "example.org/"
    regather.publish(file, "example.org/below", fragments=1)
    regather.publish(file, "./example.com", fragments=1)
    assert (tmp_path / "example.org/below/file.regather.json").is_file()
    assert (tmp_path / "example.com/file.regather.json").is_file()


@pytest.mark.impure
@pytest.mark.parametrize("text", ["s3:/b/k", "s3:b/k", "s3//b/k", "S3:b/k"])
def test_a_scheme_with_a_part_missing_is_told_whole(text: str) -> None:
    assert (
        "write s3://b/k, or write ./ before it" in (scheme_forgotten(text) or UsageError("")).help
    )


def test_a_login_behind_a_cut_scheme_is_not_shown() -> None:
    error = scheme_forgotten("http:/me:s3cret@h/x")
    assert error is not None
    assert "s3cret" not in str(error) + error.help
    assert "write http://h/x" in error.help


def test_a_scheme_that_is_a_folder_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "s3").mkdir()
    monkeypatch.chdir(tmp_path)
    assert scheme_forgotten("s3//b") is None
    assert scheme_forgotten("s3/b") is None


def test_blanks_around_a_url() -> None:
    """As of one that was copied; names of files may have them."""
    url = "http://a.example/x"
    assert with_scheme(f" {url}\t\n") == with_scheme(url) == url
    assert with_scheme(" x ") == " x "


def test_no_host_is_longer_than_names_in_dns() -> None:
    """RFC 1035, 2.3.4: 253 characters, and perhaps a dot."""
    label = 62 * "a" + "."
    longest = 4 * label + "a"
    assert len(longest) == 253
    assert checked_url(f"http://{longest}./x").hostname == f"{longest}."
    with pytest.raises(UsageError, match="not a URL"):
        checked_url(f"http://{longest}a/x")
