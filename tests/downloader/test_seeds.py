"""A newer version of what is there already: only what changed is fetched."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

import pytest

import regather
from tests.support.files import leftovers, random_file
from tests.support.files import regather as run
from tests.support.mirrors import mirror

PIECE = 1 << 16
SIZE = 40 * PIECE + 777
QUICK = regather.Settings(sync=False)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """An old file in its place, and a new one published, of which 1000 bytes differ."""
    old = random_file(tmp_path / "f.bin", SIZE)
    content = bytearray(old.read_bytes())
    content[100_000:101_000] = bytes(1000)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "f.bin").write_bytes(content)
    regather.split(
        tmp_path / "new" / "f.bin", tmp_path / "out", fragments=3, parity=1, piece_size=PIECE
    )
    return tmp_path


def manifest(made: Path) -> str:
    return str(made / "out" / "f.bin.regather.json")


def test_what_is_replaced_gives_what_is_the_same(made: Path) -> None:
    report = regather.download(manifest(made), made / "f.bin", force=True, settings=QUICK)
    assert (made / "f.bin").read_bytes() == (made / "new" / "f.bin").read_bytes()
    assert report.received <= 2 * PIECE
    assert report.reused == report.resumed >= SIZE - 2 * PIECE
    assert leftovers(made) == []


def test_older_files_by_name(made: Path) -> None:
    """Each gives what those before it have not; they may be shorter, longer, or something else."""
    content = (made / "new" / "f.bin").read_bytes()
    (made / "head").write_bytes(content[: 20 * PIECE])
    (made / "other").write_bytes(os.urandom(SIZE * 2))
    (made / "tail").write_bytes(bytes(19 * PIECE) + content[19 * PIECE :] + b"more")
    seeds = [made / name for name in ("other", "head", "tail")]
    before = [seed.read_bytes() for seed in seeds]
    report = regather.download(manifest(made), made / "x", seeds=seeds, settings=QUICK)
    assert (report.received, report.reused) == (0, SIZE)
    assert (made / "x").read_bytes() == content
    assert [seed.read_bytes() for seed in seeds] == before


def test_the_command(made: Path) -> None:
    told = run("get", manifest(made), "--seed", "f.bin", "-o", "x", cwd=made)
    assert told.returncode == 0
    assert " came from an older version, " in told.stdout
    assert "were there already" not in told.stdout
    assert (made / "x").read_bytes() == (made / "new" / "f.bin").read_bytes()
    for seed, says in (("none", "none: no such file"), ("out", "out: is not a file")):
        told = run("get", manifest(made), "--seed", seed, "-o", "y", cwd=made)
        assert told.returncode == 2
        assert says in told.stderr
    told = run("get", "-i", "list", "--seed", "f.bin", cwd=made)
    assert told.returncode == 2


def test_the_old_file_stays_until_the_new_one_is_whole(made: Path) -> None:
    before = (made / "f.bin").read_bytes()
    for fragment in (made / "out").glob("*.dat"):
        fragment.write_bytes(b"")
    with pytest.raises(regather.NotEnoughSourcesError):
        regather.download(manifest(made), made / "f.bin", force=True, settings=QUICK)
    assert (made / "f.bin").read_bytes() == before


def test_a_stopped_one_goes_on(made: Path) -> None:
    stop = threading.Event()

    def watch(progress: regather.Progress) -> None:
        if progress.done > SIZE // 2:
            stop.set()

    with pytest.raises(regather.InterruptedDownload):
        regather.download(
            manifest(made), made / "x", seeds=made / "f.bin", stop=stop, on_progress=watch
        )
    report = regather.download(manifest(made), made / "x", settings=QUICK)
    assert report.resumed > SIZE // 4
    assert (made / "x").read_bytes() == (made / "new" / "f.bin").read_bytes()


def test_without_hashes_nothing_is_taken(made: Path) -> None:
    content = (made / "new" / "f.bin").read_bytes()
    with mirror(content) as one:
        checksum = "sha256:" + hashlib.sha256(content).hexdigest()
        report = regather.download(
            f"{one.url}f", made / "x", checksum=checksum, seeds=made / "f.bin", settings=QUICK
        )
    assert report.reused == 0
    assert any("--seed has no effect" in note for note in report.notes)


def test_a_folder(tmp_path: Path) -> None:
    """Of a large file in it only what changed comes; small ones share pieces with headers."""
    tree = tmp_path / "tree"
    tree.mkdir()
    random_file(tree / "large", SIZE)
    for number in range(20):
        random_file(tree / f"small{number}", 100 + number, seed=number)
    regather.split(tree, tmp_path / "one", fragments=2, piece_size=PIECE)
    regather.download(tmp_path / "one" / "tree.regather.json", tmp_path / "dest", settings=QUICK)
    content = bytearray((tree / "large").read_bytes())
    content[100_000:101_000] = bytes(1000)
    (tree / "large").write_bytes(content)
    regather.split(tree, tmp_path / "two", fragments=2, piece_size=PIECE)
    newer = tmp_path / "two" / "tree.regather.json"
    report = regather.download(newer, tmp_path / "beside", seeds=tmp_path / "dest", settings=QUICK)
    assert report.received <= 2 * PIECE
    report = regather.download(newer, tmp_path / "dest", force=True, settings=QUICK)
    assert report.received <= 2 * PIECE
    for got in ("beside", "dest"):
        assert (tmp_path / got / "large").read_bytes() == bytes(content)
        assert (tmp_path / got / "small3").read_bytes() == (tree / "small3").read_bytes()
    with pytest.raises(regather.UsageError, match="not a directory"):
        regather.download(newer, tmp_path / "z", seeds=tree / "large", settings=QUICK)
    assert not (tmp_path / "z").exists()
