"""The hash of a whole file, computed by a process of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from blake3 import blake3

from regather import RegatherError, split
from regather.splitter import hash_process as apart
from regather.splitter import passes
from regather.splitter.hash_process import hash_apart
from tests.support.files import random_file

WINDOW = 4 << 20


@pytest.fixture(autouse=True)
def _small_files_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apart, "_LEAST", 1)


def _file(folder: Path, size: int) -> Path:
    return random_file(folder / "file.bin", size)


def _hashed(path: Path, size: int, *, stop: bool = False) -> bytes | None:
    with path.open("rb") as file:
        return hash_apart(file.fileno(), size, lambda: stop)


@pytest.mark.parametrize("size", [1, 4096, WINDOW - 1, WINDOW, WINDOW + 1, 3 * WINDOW + 4097])
def test_it_is_the_blake3_of_the_file(tmp_path: Path, size: int) -> None:
    path = _file(tmp_path, size)
    assert _hashed(path, size) == blake3(path.read_bytes()).digest()


def test_where_the_file_was_read_before_does_not_count(tmp_path: Path) -> None:
    path = _file(tmp_path, 10_000)
    with path.open("rb", buffering=0) as file:
        file.seek(5_000)
        found = hash_apart(file.fileno(), 10_000, lambda: False)
        assert found == blake3(path.read_bytes()).digest()
        assert file.tell() == 5_000


def test_a_file_that_is_shorter_is_left_to_the_caller(tmp_path: Path) -> None:
    assert _hashed(_file(tmp_path, 10_000), 2 * WINDOW) is None


def test_a_file_that_becomes_shorter_while_it_is_mapped_kills_nobody_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = _file(tmp_path, WINDOW)
    cut = "        os.truncate(sys.argv[4], 4096)\n        with memoryview"
    program = apart._PROGRAM.replace("        with memoryview", cut)
    program = program.replace("sys.argv[4]", repr(str(path)))
    assert "truncate" in program
    monkeypatch.setattr(apart, "_PROGRAM", program)
    assert _hashed(path, WINDOW) is None


def test_what_cannot_be_mapped_is_left_to_the_caller() -> None:
    reading, writing = os.pipe()
    try:
        assert hash_apart(reading, 10_000, lambda: False) is None
    finally:
        os.close(reading)
        os.close(writing)


@pytest.mark.parametrize("where", ["", "/nowhere/python", "/bin/sh", None])
def test_without_a_python_to_start_it_is_left_to_the_caller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str | None
) -> None:
    monkeypatch.setattr(sys, "executable", where)
    assert _hashed(_file(tmp_path, 10_000), 10_000) is None


def test_it_ends_where_it_shall_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    endless = "import time\nwhile True: time.sleep(1)\n"
    monkeypatch.setattr(apart, "_PROGRAM", endless)
    assert _hashed(_file(tmp_path, 10_000), 10_000, stop=True) is None


def test_it_ends_where_who_started_it_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = apart._PROGRAM.replace("os.getppid() != parent", "os.getppid() == parent")
    monkeypatch.setattr(apart, "_PROGRAM", program)
    assert _hashed(_file(tmp_path, 10_000), 10_000) is None


@pytest.mark.parametrize("there", [True, False])
def test_a_split_with_parity_names_the_same_hash_with_it_and_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    told: list[bytes | None] = []

    def watched(*args: object) -> bytes | None:
        told.append(hash_apart(*args) if there else None)  # type: ignore[arg-type]
        return told[-1]

    monkeypatch.setattr(passes, "hash_apart", watched)
    path = _file(tmp_path, 1_234_567)
    manifest = split(path, tmp_path / "out", fragments=3, parity=2)
    expected = blake3(path.read_bytes()).digest()
    assert manifest.blake3 == expected.hex()
    assert told == [expected if there else None]


def test_a_split_of_a_file_that_becomes_shorter_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*args: object) -> bytes | None:
        os.truncate(path, 100)
        return hash_apart(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(passes, "hash_apart", cut)
    path = _file(tmp_path, 1_234_567)
    with pytest.raises(RegatherError, match=r"was truncated|changed"):
        split(path, tmp_path / "out", fragments=3, parity=2)
    assert not list((tmp_path / "out").glob("*.dat"))
