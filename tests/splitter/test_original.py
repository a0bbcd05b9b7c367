"""Files of which the system tells another size than they have, and what is no file at all."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

import regather
from regather.errors import RegatherError, UsageError
from tests.support.files import random_file
from tests.support.files import regather as command

SAID_EMPTY = Path("/proc/version")
SAID_LARGER = Path("/sys/kernel/mm/transparent_hugepage/enabled")
EVERY = [
    pytest.param(path, marks=pytest.mark.skipif(not path.exists(), reason=f"no {path} here"))
    for path in (SAID_EMPTY, SAID_LARGER)
]
QUICK = regather.Settings(sync=False)


@pytest.mark.parametrize("parity", [0, 1])
@pytest.mark.parametrize("path", EVERY)
def test_it_is_split_as_it_is_read(tmp_path: Path, path: Path, parity: int) -> None:
    content = path.read_bytes()
    assert len(content) != path.stat().st_size
    manifest = regather.split(path, tmp_path / "o", fragments=2, parity=parity)
    assert manifest.size == len(content)
    got = b"".join((tmp_path / "o" / f"file_fragment_{n}.dat").read_bytes() for n in (1, 2))
    assert got == content


@pytest.mark.parametrize("path", EVERY)
def test_it_is_published_as_it_is_read(tmp_path: Path, path: Path) -> None:
    regather.publish(path, tmp_path / "t")
    regather.download(
        str(tmp_path / "t" / f"{path.name}.regather.json"), tmp_path / "got", settings=QUICK
    )
    assert (tmp_path / "got").read_bytes() == path.read_bytes()


def _in_a_folder(path: Path, tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "x").symlink_to(path)
    regather.split(tmp_path / "tree", tmp_path / "o", follow_links=True)


def _as_a_fragment(path: Path, tmp_path: Path) -> None:
    regather.download([], tmp_path / "got", fragments=[str(path)], settings=QUICK)


@pytest.mark.parametrize("use", [_in_a_folder, _as_a_fragment])
@pytest.mark.parametrize("path", EVERY)
def test_elsewhere_it_is_refused(
    tmp_path: Path, path: Path, use: Callable[[Path, Path], None]
) -> None:
    with pytest.raises(RegatherError, match="its content does not match its size"):
        use(path, tmp_path)
    assert not (tmp_path / "got").exists()


def test_what_cannot_be_read_is_not_taken_for_empty(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="input/output error"):
        regather.split("/proc/self/mem", tmp_path / "o")


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    done = command("split", tmp_path / "pipe", "--out", tmp_path / "o")
    assert done.returncode == 2
    assert "is a pipe, not a regular file; it can be read only once" in done.stderr


@pytest.mark.parametrize("parity", [0, 1])
def test_a_read_that_stops_short_is_no_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parity: int
) -> None:
    path, preadv = random_file(tmp_path / "f", 10_000), os.preadv

    def half(file: int, views: list[memoryview], at: int) -> int:
        return preadv(file, [views[0][: (len(views[0]) + 1) // 2]], at)

    monkeypatch.setattr(os, "preadv", half)
    regather.split(path, tmp_path / "o", fragments=2, parity=parity)
    got = b"".join((tmp_path / "o" / f"file_fragment_{n}.dat").read_bytes() for n in (1, 2))
    assert got == path.read_bytes()
