"""A stopped download and a file that changed meanwhile: the old and the new are never mixed."""

from __future__ import annotations

import hashlib
import random
import threading
from pathlib import Path

import pytest

import regather
from tests.support.mirrors import Mirror, mirror

SIZE = 6 << 20
OLD, NEW = random.Random(1).randbytes(SIZE), random.Random(2).randbytes(SIZE)
SLOW = regather.Settings(sync=False, limit_rate=4_000_000, connections=2)
QUICK = regather.Settings(sync=False)


def stopped(
    source: str | list[str] | None, dest: Path, checksum: str | tuple[()] = (), **how: object
) -> str:
    """Stop a download in its middle; returns what was told."""
    stop = threading.Event()

    def watch(progress: regather.Progress) -> None:
        if progress.done >= SIZE // 3:
            stop.set()

    with pytest.raises(regather.InterruptedDownload) as caught:
        regather.download(
            source,
            dest,
            checksum=checksum,
            settings=SLOW,
            stop=stop,
            on_progress=watch,
            **how,  # type: ignore[arg-type]
        )
    return caught.value.line


def test_where_nothing_tells_versions_apart(tmp_path: Path) -> None:
    with mirror(OLD) as one:
        assert "starts again from the beginning" in stopped(f"{one.url}f", tmp_path / "f")
        one.content = NEW
        report = regather.download(f"{one.url}f", tmp_path / "f", settings=QUICK)
    assert (tmp_path / "f").read_bytes() == NEW
    assert report.resumed == 0


def test_plain_fragments(tmp_path: Path) -> None:
    with mirror(OLD) as one:
        assert "starts again from the beginning" in stopped(
            None, tmp_path / "f", fragments=[f"{one.url}f"]
        )
        one.content = NEW
        regather.download(fragments=[f"{one.url}f"], dest=tmp_path / "f", settings=QUICK)
    assert (tmp_path / "f").read_bytes() == NEW


def by_tag(one: Mirror) -> None:
    one.headers = {"ETag": '"1"'}


def by_date(one: Mirror) -> None:
    one.headers = {"Last-Modified": "Mon, 01 Jun 2026 00:00:00 GMT"}


@pytest.mark.parametrize("tell", [by_tag, by_date])
def test_what_is_still_the_same_goes_on(tmp_path: Path, tell) -> None:  # type: ignore[no-untyped-def]
    with mirror(OLD) as one:
        tell(one)
        assert "starts again from the beginning" not in stopped(f"{one.url}f", tmp_path / "f")
        report = regather.download(f"{one.url}f", tmp_path / "f", settings=QUICK)
    assert (tmp_path / "f").read_bytes() == OLD
    assert report.resumed > 0


@pytest.mark.parametrize("changed", [False, True])
def test_a_checksum_tells_enough(tmp_path: Path, changed: bool) -> None:
    with mirror(OLD) as one:
        checksum = "sha256:" + hashlib.sha256(OLD).hexdigest()
        assert "starts again from the beginning" not in stopped(
            f"{one.url}f", tmp_path / "f", checksum
        )
        if changed:
            one.content = NEW
            with pytest.raises(regather.VerificationError):
                regather.download(f"{one.url}f", tmp_path / "f", checksum=checksum, settings=QUICK)
            assert not (tmp_path / "f").exists()
            return
        report = regather.download(f"{one.url}f", tmp_path / "f", checksum=checksum, settings=QUICK)
    assert (tmp_path / "f").read_bytes() == OLD
    assert report.resumed > 0
