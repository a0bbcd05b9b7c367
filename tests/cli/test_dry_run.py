"""--dry-run: says what would be done, ends as the run would begin, and changes nothing."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import regather as package
from regather.cli import main
from tests.support.files import random_file, without_progress
from tests.support.hosting import Hosting

Run = tuple[int, str, str]


def tree(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """All that stands below a folder, with times and content."""
    return {
        str(path.relative_to(folder)): (
            status.st_mtime_ns,
            status.st_mode,
            path.read_bytes() if path.is_file() else b"",
        )
        for path in sorted(folder.rglob("*"))
        for status in [path.lstat()]
    }


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    random_file(tmp_path / "f", 300_000)
    (tmp_path / "folder/d").mkdir(parents=True)
    random_file(tmp_path / "folder/d/big.bin", 200_000)
    (tmp_path / "folder/small.json").write_text("{}")
    package.split(tmp_path / "f", tmp_path / "out", servers=2)
    package.split(tmp_path / "folder", tmp_path / "packed", fragments=2, piece_size=1 << 16)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def dry(here: Path, capsys: pytest.CaptureFixture[str], *words: str) -> Run:
    before = tree(here)
    code = main([*words, "--dry-run"])
    assert tree(here) == before, "something was changed"
    out, err = capsys.readouterr()
    return code, out, without_progress(err)


FILE, FOLDER = "out/f.regather.json", "packed/folder.regather.json"


def test_get_names_sources_sizes_and_place(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told, errors = dry(here, capsys, "get", FILE, "-o", "copy")
    assert (code, errors) == (0, "")
    assert told.startswith("Would download f to copy: 293.0 KiB (300000 bytes), verified by manif")
    assert "\n  out/server1/  " in told
    assert "\n  out/server2/  " in told


def test_get_by_the_network(
    here: Path, hosting: Hosting, capsys: pytest.CaptureFixture[str]
) -> None:
    server = hosting.serve(here / "out/server1")
    code, told, _ = dry(here, capsys, "get", f"{server.url}f.regather.json", "--json")
    found = json.loads(told)
    assert (code, found["event"], found["path"]) == (0, "dry_run", str(Path("f")))
    assert found["kept"] is True, "it is here already"
    code, told, _ = dry(
        here, capsys, "get", f"{server.url}f", "-o", "x", "--json", "--retries", "0"
    )
    assert code == 4
    assert json.loads(told)["event"] == "error"


def test_get_counts_what_is_there(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An interrupted download is resumed: what it has is not to be fetched."""
    os.rename("out/server2", "away")
    assert main(["get", FILE, "-o", "copy", "--retries", "0"]) == 4
    os.rename("away", "out/server2")
    capsys.readouterr()
    _, told, _ = dry(here, capsys, "get", FILE, "-o", "copy", "--json")
    found = json.loads(told)
    assert 0 < found["present"] < found["size"] == 300_000


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ((FILE,), 0, "f: 293.0 KiB (300000 bytes), is already there; nothing to fetch"),
        ((FILE, "-o", "folder/small.json"), 6, "with 2 bytes"),
        ((FILE, "-o", "folder/small.json", "--force"), 0, "Would download f to folder/small.json"),
        ((FILE, "-o", "new/x"), 2, "the folder 'new' does not exist; make it, or use --mkdir"),
        ((FILE, "-o", "new/x", "--mkdir"), 0, "Would download f to new/x"),
        ((FILE, "-o", "new/"), 0, "Would download f to new/f"),
        ((FILE, "--digest", "0" * 64), 3, "its digest is"),
        (("none.regather.json",), 2, "no such file"),
        ((FOLDER, "-o", "copy"), 0, "Would download folder to copy: 2 files, 198.5 KiB"),
        ((FOLDER, "-o", "copy", "--exclude", "*.bin"), 0, "to copy: 1 file, "),
        ((FOLDER, "-o", "copy", "--select", "d"), 0, "Would download folder to copy: 1 file, "),
        ((FOLDER,), 0, "folder: 2 files, 198.5 KiB (203264 bytes), is already there; nothing"),
        ((FOLDER, "-o", "out"), 6, "published folder"),
        (("-i", "list"), 2, "none.regather.json: no such file"),
    ],
)
def test_get_ends_as_the_run_would_begin(
    here: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    (here / "list").write_text(f"none.regather.json\n{FILE}\n  out=copy\n")
    found, told, errors = dry(here, capsys, "get", *words)
    assert found == code, errors
    assert says in told + errors
    if "-i" in words:
        assert "Would download f to copy" in told, "one that fails does not end the others"


TO = ("--to", "a", "--to", "b", "--to", "c", "--parity", "1")


def test_publish(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told, errors = dry(here, capsys, "publish", "f", *TO)
    assert (code, errors) == (0, "")
    assert told.startswith("Would publish f: 439.5 KiB to 3 targets\n")
    assert "\n  a/  146.5 KiB  file_fragment_1.dat\n" in told
    assert main(["publish", "f", *TO]) == 0
    os.unlink("b/file_fragment_2.dat")
    capsys.readouterr()
    code, told, _ = dry(here, capsys, "publish", "f", *TO, "--json")
    found = json.loads(told)
    assert (found["dry_run"], found["uploaded"], found["present"]) == (True, 150_000, 300_000)
    assert dry(here, capsys, "publish", "folder/small.json", "--to", "a")[0] == 6


@pytest.mark.parametrize("words", [(*TO, "--survive", "2"), ("--to", "a", "--replicas", "2")])
def test_publish_refuses_as_ever(
    here: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert dry(here, capsys, "publish", "f", *words)[0] == 2


def test_repair(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish", "f", *TO]) == 0
    capsys.readouterr()
    manifest = ("repair", "a/f.regather.json", "--server", "a", "--server", "b", "--server", "c")
    assert "0 fragments would be restored" in dry(here, capsys, *manifest)[1]
    os.unlink("b/file_fragment_2.dat")
    code, told, _ = dry(here, capsys, *manifest)
    assert code == 0
    assert "would be restored at b/, 146.5 KiB from good pieces and parity\n" in told
    found = json.loads(dry(here, capsys, *manifest, "--json")[1])
    assert (found["dry_run"], found["restored"][0]["fragment"]) == (True, "file_fragment_2.dat")
    os.unlink("c/file_parity_1_1.dat")
    assert dry(here, capsys, *manifest)[0] == 4


def test_excluded_files_are_not_fetched(here: Path) -> None:
    assert main(["get", FOLDER, "-o", "copy", "--exclude", "*.bin", "-q"]) == 0
    assert sorted(p.name for p in (here / "copy").rglob("*")) == ["d", "small.json"]
    assert main(["get", FILE, "-o", "copy2", "--exclude", "x", "-q"]) == 2
    assert main(["get", FOLDER, "-o", "copy3", "--exclude", "*", "-q"]) == 2


def test_folders_of_outputs(here: Path) -> None:
    for words in (
        ("get", FILE, "-o", "a/b/copy"),
        ("generate", "c/d/text", "--size", "1KB"),
        ("metalink", FILE, "--file", "f", "--mirror", "http://a/f", "-o", "e/f/x.meta4"),
    ):
        assert main([*words, "-q"]) == 2
        assert main([*words, "-q", "--mkdir"]) == 0
    assert {"a/b/copy", "c/d/text", "e/f/x.meta4"} <= set(tree(here))
