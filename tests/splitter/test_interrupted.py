"""A split that fails or is killed while files get their names: the same command goes on."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import regather
from regather.errors import DestinationExistsError, StorageError
from tests.support.files import random_file
from tests.support.forks import in_child

NAMES = 6
"""Three fragments and three manifests."""


def _files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def _split(path: Path, out: Path) -> None:
    regather.split(path, out, fragments=2, parity=1, servers=2, survive=0)


def _at_name(monkeypatch: pytest.MonkeyPatch, nth: int, then: Callable[[], object]) -> None:
    rename, count = os.rename, 0

    def renamed(source: Any, target: Any, **options: Any) -> None:
        nonlocal count
        count += 1
        if count == nth:
            then()
        rename(source, target, **options)

    monkeypatch.setattr(os, "rename", renamed)


def _fail() -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("nth", range(1, NAMES + 1))
def test_of_one_that_failed_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    path, out = random_file(tmp_path / "f", 5000), tmp_path / "out"
    _at_name(monkeypatch, nth, _fail)
    with pytest.raises(StorageError):
        _split(path, out)
    assert _files(out) == []
    monkeypatch.undo()
    _split(path, out)
    assert len(_files(out)) == NAMES


@pytest.mark.parametrize("nth", range(1, NAMES + 1))
def test_one_that_was_killed_is_done_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nth: int
) -> None:
    path, out = random_file(tmp_path / "f", 5000), tmp_path / "out"
    _at_name(monkeypatch, nth, lambda: os._exit(0))
    in_child(lambda: _split(path, out))
    monkeypatch.undo()
    assert any(".regather-part-" in name for name in _files(out))
    _split(path, out)
    assert len(_files(out)) == NAMES
    regather.download(out / "f.regather.json", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == path.read_bytes()


@pytest.mark.parametrize("name", ["file_fragment_9.dat", "file_fragment_1.dat", "a link"])
def test_what_one_that_was_killed_had_not_named_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path, out = random_file(tmp_path / "f", 5000), tmp_path / "out"
    _at_name(monkeypatch, 2, lambda: os._exit(0))
    in_child(lambda: _split(path, out))
    monkeypatch.undo()
    if name == "a link":  # that leads nowhere
        other = out / "server2" / "file_fragment_9.dat"
        other.symlink_to("nowhere")
    else:
        other = out / "server2" / name
        assert not other.exists()
        other.write_bytes(b"somebody else's")
    with pytest.raises(DestinationExistsError, match="already contains fragments"):
        _split(path, out)
    assert other.is_symlink() or other.read_bytes() == b"somebody else's"
