"""Folders made for files that come in: durable with the file, gone without it, never elsewhere."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from regather.server import places
from regather.server.places import Folders


def open_below(folder: Path) -> list[str]:
    """What this process has open there."""
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    return [path for path in found if path.startswith(str(folder))]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "root"
    path.mkdir()
    yield path
    assert not open_below(tmp_path), "a folder stayed open"


def write(place: places.WritePlace) -> None:
    os.close(os.open(place.name, os.O_CREAT | os.O_WRONLY, dir_fd=place.folder))


def test_what_was_made_goes_where_no_file_came(root: Path) -> None:
    place = Folders(str(root)).place(["a", "b", "x"], make=True)
    assert (root / "a" / "b").is_dir()
    place.close()
    assert list(root.iterdir()) == []


def test_what_was_there_stays(root: Path) -> None:
    (root / "a").mkdir()
    Folders(str(root)).place(["a", "b", "x"], make=True).close()
    assert [path.name for path in root.rglob("*")] == ["a"]


def test_what_holds_a_file_stays(root: Path) -> None:
    place = Folders(str(root)).place(["a", "b", "x"], make=True)
    write(place)
    place.keep()
    place.close()
    assert (root / "a" / "b" / "x").exists()


@pytest.mark.parametrize("maker_first", [True, False])
def test_a_folder_stays_while_another_is_about_to_write_there(
    maker_first: bool, root: Path
) -> None:
    folders = Folders(str(root))
    maker, other = (folders.place(["a", "b", name], make=True) for name in "xy")
    first, second = (maker, other) if maker_first else (other, maker)
    first.close()
    write(second)
    second.close()
    assert len(list((root / "a" / "b").iterdir())) == 1


def test_the_last_one_refused_removes_what_another_made(root: Path) -> None:
    folders = Folders(str(root))
    maker = folders.place(["a", "x"], make=True)
    other = folders.place(["a", "b", "y"], make=True)
    maker.close()
    assert (root / "a" / "b").is_dir()
    other.close()
    assert list(root.iterdir()) == []


def test_nothing_outside_is_removed(root: Path) -> None:
    outside = root.parent / "outside"
    (outside / "b").mkdir(parents=True)
    place = Folders(str(root)).place(["a", "b", "x"], make=True)
    (root / "a").rename(root / "z")
    (root / "a").symlink_to(outside)
    place.close()
    assert (outside / "b").is_dir()


def test_another_folder_of_that_name_is_not_removed(root: Path) -> None:
    place = Folders(str(root)).place(["a", "x"], make=True)
    (root / "a").rename(root / "z")
    (root / "a").mkdir()
    place.close()
    assert sorted(path.name for path in root.iterdir()) == ["a", "z"]


@pytest.mark.parametrize("make", [True, False])
@pytest.mark.parametrize(
    "path", ["to/x", "file/x", "to/b/x", "file/b/x", "a/to/x", "a/file/x", "a/to/b/x"]
)
def test_no_link_is_followed(path: str, make: bool, root: Path) -> None:
    (root / "a").mkdir()
    for folder in (root, root / "a"):
        (folder / "to").symlink_to(root)
        (folder / "file").touch()
    before = sorted(root.rglob("*"))
    with pytest.raises(NotADirectoryError):
        Folders(str(root)).place(path.split("/"), make=make)
    assert sorted(root.rglob("*")) == before


def test_a_missing_folder_is_told(root: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Folders(str(root)).place(["a", "x"], make=False)


def test_another_process_that_removes_the_folder_at_once(root: Path) -> None:
    """Two servers of one folder: what one refuses, the other may be about to use."""
    ended = threading.Event()

    def refuse_all() -> None:
        folders = Folders(str(root))
        while not ended.is_set():
            folders.place(["a", "b", "x"], make=True).close()

    other = threading.Thread(target=refuse_all)
    other.start()
    try:
        folders = Folders(str(root))
        for _ in range(200):
            place = folders.place(["a", "b", "y"], make=True)
            place.close()
    finally:
        ended.set()
        other.join()


def test_parents_of_new_folders_are_synced(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", lambda number: synced.append(os.fstat(number).st_ino))
    folders = Folders(str(root))
    first, second = (folders.place(["a", "b", name], make=True) for name in "xy")
    for place in (first, second):
        write(place)
    second.keep()
    assert sorted(synced) == sorted(p.stat().st_ino for p in (root, root / "a"))
    first.keep()
    assert len(synced) == 2, "what is durable already is not synced again"
    first.close()
    second.close()
