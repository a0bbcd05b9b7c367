"""The bytes in a folder: right at once for what the server does, soon for what others do."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from regather.server.usage import Usage
from tests.support.steps import MOST


def fill(folder: Path, files: int) -> None:
    folder.mkdir()
    for number in range(files):
        (folder / str(number)).write_bytes(b"12")


def test_what_counts(tmp_path: Path) -> None:
    fill(tmp_path / "a", 3)
    (tmp_path / "link").symlink_to(tmp_path / "a" / "0")
    (tmp_path / ".coming-1").write_bytes(b"x" * 100)
    (tmp_path / ".hidden").write_bytes(b"123")
    assert Usage(str(tmp_path), but=".coming-").total() == 9


def test_what_others_change_is_seen_at_once_in_a_small_folder(tmp_path: Path) -> None:
    usage = Usage(str(tmp_path), but="-")
    assert usage.total() == 0
    (tmp_path / "a").write_bytes(b"123")
    assert usage.total() == 3


def test_and_after_ten_seconds_in_a_large_one(tmp_path: Path) -> None:
    now = 0.0
    fill(tmp_path / "a", 1000)
    usage = Usage(str(tmp_path), but="-", clock=lambda: now)
    assert usage.total() == 2000
    (tmp_path / "b").write_bytes(b"123")
    usage.changed(-500)
    assert usage.total() == 1500
    now = 10.0
    assert usage.total() == 2003


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Usage(str(tmp_path / "gone"), but="-").total()


def test_many_files_stored_in_a_large_folder_cost_linear_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0
    lstat = os.lstat

    def count(path: str) -> os.stat_result:
        nonlocal looks
        looks += 1
        return lstat(path)

    monkeypatch.setattr(os, "lstat", count)
    totals = []
    for files in (300, 600):
        fill(tmp_path / str(files), files)
        looks = 0
        usage = Usage(str(tmp_path / str(files)), but="-", clock=lambda: 0.0)
        for _ in range(files):
            usage.total()
            usage.changed(1)
        totals.append(looks)
    assert totals[1] <= MOST * totals[0], totals
