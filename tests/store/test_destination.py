"""The destination: what is claimed, what is found again, what is never overwritten."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path

import pytest

from regather.digest import piece_hash
from regather.errors import DestinationExistsError, StorageError, UsageError
from regather.files.openat import DirHandle
from regather.hashes import HASH_SIZE
from regather.model import Fragment, FragmentIndex, Layout
from regather.store import Destination
from tests.store.stores import content_of, small_layout

PIECE = 1 << 10
CONTENT = bytes(range(256)) * 10  # two and a half pieces
IDENTITY = b"i" * HASH_SIZE


def layout(hashed: bool = True) -> Layout:
    pieces = [CONTENT[at : at + PIECE] for at in range(0, len(CONTENT), PIECE)]
    hashes = b"".join(map(piece_hash, pieces)) if hashed else b""
    return Layout(len(CONTENT), PIECE, (Fragment(FragmentIndex(1), "f", 0, len(CONTENT), hashes),))


def place(destination: Destination, number: int) -> None:
    data = memoryview(CONTENT)[number * PIECE : (number + 1) * PIECE]
    destination.place(number, data, piece_hash(data))


def test_in_any_order_to_the_final_name(tmp_path: Path) -> None:
    path = tmp_path / "x"
    destination = Destination(path, layout(), IDENTITY)
    assert not destination.resumed
    for number in (2, 0, 1):
        assert not path.exists()
        place(destination, number)
    destination.finish()
    assert path.read_bytes() == CONTENT
    assert [p.name for p in tmp_path.iterdir()] == ["x"]


def test_parity_behind_the_end_is_cut_off(tmp_path: Path) -> None:
    """What was kept there for a later run is no part of the file."""
    coded = small_layout(3, parity=2, last=1000)
    destination = Destination(tmp_path / "x", coded, IDENTITY)
    for number in range(coded.piece_count):
        data = memoryview(content_of(coded, number))
        destination.place(number, data, piece_hash(data))
    assert (tmp_path / "x.regather-part").stat().st_size > coded.size
    destination.finish()
    file = b"".join(content_of(coded, number) for number in range(coded.data_pieces))
    assert (tmp_path / "x").read_bytes() == file


def test_a_system_that_writes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """POSIX lets any write stop short, as it does where the last of the space goes."""
    whole = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda file, data, at: whole(file, data[:20], at))
    first = Destination(tmp_path / "x", layout(), IDENTITY)
    place(first, 1)
    first.close()
    second = Destination(tmp_path / "x", layout(), IDENTITY)
    assert second.recover() == [1]
    second.close()


@pytest.mark.parametrize("hashed", [True, False])
def test_what_was_there_is_found_again(tmp_path: Path, hashed: bool) -> None:
    first = Destination(tmp_path / "x", layout(hashed), IDENTITY)
    place(first, 0)
    place(first, 2)
    first.close()
    second = Destination(tmp_path / "x", layout(hashed), IDENTITY)
    assert second.resumed
    looked: list[int] = []
    assert second.recover(looked.append) == [0, 2]
    assert sorted(looked) == [512, 1024]
    second.close()


@pytest.mark.parametrize("hashed", [True, False])
def test_a_claim_is_not_believed(tmp_path: Path, hashed: bool) -> None:
    first = Destination(tmp_path / "x", layout(hashed), IDENTITY)
    place(first, 0)
    place(first, 1)
    first.close()
    with first.part.open("r+b") as file:
        file.write(b"!")
    second = Destination(tmp_path / "x", layout(hashed), IDENTITY)
    assert second.recover() == [1]
    second.close()
    third = Destination(tmp_path / "x", layout(hashed), IDENTITY)
    assert third.recover() == [1]
    third.close()


def test_another_identity_starts_anew(tmp_path: Path) -> None:
    first = Destination(tmp_path / "x", layout(), IDENTITY)
    place(first, 0)
    first.close()
    second = Destination(tmp_path / "x", layout(), b"j" * HASH_SIZE)
    assert not second.resumed
    assert second.recover() == []
    second.close()


def test_one_at_a_time(tmp_path: Path) -> None:
    first = Destination(tmp_path / "x", layout(), IDENTITY)
    with pytest.raises(StorageError, match="another process"):
        Destination(tmp_path / "x", layout(), IDENTITY)
    place(first, 0)
    first.close()
    again = Destination(tmp_path / "x", layout(), IDENTITY)
    assert again.recover() == [0]
    again.close()


def test_a_file_that_appears_meanwhile_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "x"
    destination = Destination(path, layout(), IDENTITY)
    for number in range(3):
        place(destination, number)
    path.write_bytes(b"theirs")
    with pytest.raises(DestinationExistsError):
        destination.finish()
    assert path.read_bytes() == b"theirs"
    assert destination.part.read_bytes() == CONTENT
    forced = Destination(path, layout(), IDENTITY, force=True)
    assert forced.recover() == [0, 1, 2]
    forced.finish()
    assert path.read_bytes() == CONTENT


def test_a_file_with_two_names_is_not_written_to(tmp_path: Path) -> None:
    """As after a kill between linking the finished file and removing the partial."""
    first = Destination(tmp_path / "x", layout(), IDENTITY)
    for number in range(3):
        place(first, number)
    first.close()
    (tmp_path / "archive").hardlink_to(first.part)
    Destination(tmp_path / "x", layout(), b"j" * HASH_SIZE).close()
    assert (tmp_path / "archive").read_bytes() == CONTENT


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / "x.regather-part").symlink_to(tmp_path / "precious")
    with pytest.raises(StorageError):
        Destination(tmp_path / "x", layout(), IDENTITY)
    assert (tmp_path / "precious").read_bytes() == b"precious"


def test_a_partial_is_kept_when_another_download_does_not_fit(tmp_path: Path) -> None:
    first = Destination(tmp_path / "x", layout(), IDENTITY)
    place(first, 0)
    first.close()
    size = 1 << 50
    huge = Layout(size, 1 << 26, (Fragment(FragmentIndex(1), "f", 0, size),))
    with pytest.raises(StorageError, match="no space"):
        Destination(tmp_path / "x", huge, b"j" * HASH_SIZE)
    again = Destination(tmp_path / "x", layout(), IDENTITY)
    assert again.recover() == [0]
    again.close()


def test_special_files_are_never_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x")
    with pytest.raises(UsageError, match="not a regular file") as caught:
        Destination(tmp_path / "x", layout(), IDENTITY, force=True)
    assert caught.value.help.endswith(f"-o - > {tmp_path}/x")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UsageError, match="a link that leads nowhere"):
        Destination(tmp_path / "link", layout(), IDENTITY, force=True)
    with pytest.raises(UsageError, match="longer than 255"):
        Destination(tmp_path / ("y" * 300) / "x", layout(), IDENTITY)


def test_a_name_of_255_bytes(tmp_path: Path) -> None:
    path = tmp_path / ("ü" * 127 + "x")
    destination = Destination(path, layout(), IDENTITY)
    for number in range(3):
        place(destination, number)
    destination.finish(sync=False)
    assert path.read_bytes() == CONTENT
    with pytest.raises(UsageError, match="longer than 255"):
        Destination(tmp_path / ("x" * 256), layout(), IDENTITY)


def test_an_empty_file(tmp_path: Path) -> None:
    empty = Layout(0, PIECE, (Fragment(FragmentIndex(1), "f", 0, 0),))
    Destination(tmp_path / "x", empty, IDENTITY).finish()
    assert (tmp_path / "x").read_bytes() == b""


@pytest.mark.parametrize("force", [False, True])
def test_what_took_the_place_of_the_partial_gets_no_name(tmp_path: Path, force: bool) -> None:
    """Nobody has verified it. What was written cannot be named any more, which is told."""
    destination = Destination(tmp_path / "x", layout(), IDENTITY, force=force)
    for number in range(3):
        place(destination, number)
    destination.part.rename(tmp_path / "elsewhere")
    destination.part.write_bytes(b"not verified")
    with pytest.raises(StorageError, match="moved, removed or replaced"):
        destination.finish()
    assert not (tmp_path / "x").exists()
    again = Destination(tmp_path / "x", layout(), IDENTITY)
    assert again.recover() == []
    for number in range(3):
        place(again, number)
    again.finish()
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_partial_that_is_gone_in_the_end(tmp_path: Path) -> None:
    destination = Destination(tmp_path / "x", layout(), IDENTITY)
    destination.part.unlink()
    with pytest.raises(StorageError, match="moved, removed or replaced"):
        destination.finish()


def test_a_journal_that_is_a_file_of_others_too(tmp_path: Path) -> None:
    """Like a hard link that somebody put there, or that a copy of the folder was made with."""
    (tmp_path / "theirs").write_bytes(b"precious")
    os.link(tmp_path / "theirs", tmp_path / "x.regather-part-journal")
    first = Destination(tmp_path / "x", layout(), IDENTITY)
    place(first, 1)
    assert (tmp_path / "theirs").read_bytes() == b"precious"
    with pytest.raises(StorageError, match="another process"):
        Destination(tmp_path / "x", layout(), IDENTITY)
    first.close()
    second = Destination(tmp_path / "x", layout(), IDENTITY)
    assert second.recover() == [1]
    second.close()


def test_a_path_that_is_too_long(tmp_path: Path) -> None:
    for path in (tmp_path / ("x" * 300), tmp_path / ("a/" * 3000)):
        with pytest.raises(UsageError):
            Destination(path, layout(), IDENTITY)


# -- what gets the final name is what was verified, and nothing else --------------------------


def test_a_partial_that_is_too_long(tmp_path: Path) -> None:
    first = Destination(tmp_path / "x", layout(), IDENTITY)
    place(first, 0)
    first.close()
    with first.part.open("ab") as file:
        file.write(b"not verified")
    second = Destination(tmp_path / "x", layout(), IDENTITY)
    assert second.recover() == [0]
    place(second, 1)
    place(second, 2)
    with second.part.open("ab") as file:
        file.write(b"nor this")
    second.finish()
    assert (tmp_path / "x").read_bytes() == CONTENT


def test_a_partial_that_became_shorter(tmp_path: Path) -> None:
    destination = Destination(tmp_path / "x", layout(), IDENTITY)
    for number in range(3):
        place(destination, number)
    os.truncate(destination.part, 100)
    with pytest.raises(StorageError, match="was truncated"):
        destination.finish()
    assert not (tmp_path / "x").exists()


def test_a_journal_that_lost_its_name_locks_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Opened before the other download ended, locked after: then it is nobody's any more."""
    first = Destination(tmp_path / "x", layout(), IDENTITY)
    for number in range(3):
        place(first, number)
    flock = fcntl.flock

    def late(descriptor: int, operation: int) -> None:
        if not (tmp_path / "x").exists():
            first.finish()
        flock(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    second = Destination(tmp_path / "x", layout(), b"j" * HASH_SIZE, force=True)
    with pytest.raises(StorageError, match="another process"):
        Destination(tmp_path / "x", layout(), b"k" * HASH_SIZE, force=True)
    second.close()


def test_nothing_is_removed_after_another_took_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Destination(tmp_path / "x", layout(), IDENTITY)
    seen: list[bool] = []
    close = first.close

    def look() -> None:
        seen.append(first.part.exists())
        close()

    monkeypatch.setattr(first, "close", look)
    first.discard()
    assert seen == [False]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give files to others")
@pytest.mark.parametrize("suffix", [".regather-part", ".regather-part-journal"])
def test_what_others_put_there_is_not_taken_over(tmp_path: Path, suffix: str) -> None:
    theirs = tmp_path / f"x{suffix}"
    theirs.touch(0o666)
    os.chown(theirs, 65534, 65534)
    with theirs.open("r+b") as held:
        destination = Destination(tmp_path / "x", layout(), IDENTITY)
        held.write(b"not verified" * 99)
        held.flush()
        for number in range(3):
            place(destination, number)
        destination.finish()
        assert (tmp_path / "x").read_bytes() == CONTENT
    assert (tmp_path / "x").stat().st_uid == os.geteuid()


@pytest.mark.parametrize("mask", [0o022, 0o002, 0o077, 0])
def test_the_mode_is_what_the_umask_leaves(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        destination = Destination(tmp_path / "x", layout(), IDENTITY)
        for number in range(3):
            place(destination, number)
        destination.finish()
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("suffix", ["", "-journal"])
def test_what_is_in_the_way_of_a_partial_is_named(suffix: str, tmp_path: Path) -> None:
    way = tmp_path / f"x.regather-part{suffix}"
    for kind in ("folder", "pipe", "link"):
        if kind == "folder":
            way.mkdir()
        elif kind == "pipe":
            os.mkfifo(way)
        else:
            way.symlink_to("nowhere")
        with pytest.raises(StorageError, match=f"{way.name}: .*; remove it"):
            Destination(tmp_path / "x", layout(), IDENTITY)
        way.rmdir() if way.is_dir() else way.unlink()


def test_a_descriptor_that_fails_to_close_is_closed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number may be that of another file by then."""
    closed: list[int] = []
    close = os.close

    def failing(descriptor: int) -> None:
        close(descriptor)
        closed.append(descriptor)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    destination = Destination(tmp_path / "x", layout(), IDENTITY)
    handle = DirHandle(str(tmp_path))
    monkeypatch.setattr(os, "close", failing)
    for one in (destination, handle):
        with pytest.raises(OSError, match=os.strerror(errno.EIO)):
            one.close()
        one.close()
    assert len(closed) == len(set(closed)) == 3
