"""A file that stands there already: right, another, or nobody knows; and what it takes to tell."""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import regather
from tests.support.files import random_file
from tests.support.files import regather as run
from tests.support.forks import in_child
from tests.support.mirrors import Mirror, mirror

SIZE = 3_000_000
QUICK = regather.Settings(sync=False)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    original = random_file(tmp_path / "f.bin", SIZE)
    regather.split(original, tmp_path / "out", fragments=2)
    return tmp_path


def manifest(made: Path) -> str:
    return str(made / "out" / "f.bin.regather.json")


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def test_the_same_command_again(made: Path) -> None:
    first = run("get", manifest(made), "-o", "copy", cwd=made)
    before = (made / "copy").stat()
    for fragment in (made / "out").glob("*.dat"):
        fragment.write_bytes(b"")  # it does not take any
    told = run("get", manifest(made), "-o", "copy", cwd=made)
    assert (first.returncode, told.returncode) == (0, 0)
    assert told.stdout == (
        f"copy: {SIZE / (1 << 20):.1f} MiB ({SIZE} bytes), was there already and is right "
        "(manifest); nothing was fetched\n"
    )
    after = (made / "copy").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_from_python(made: Path) -> None:
    seen: list[regather.Progress] = []
    report = regather.download(manifest(made), made / "f.bin", on_progress=seen.append)
    assert (report.kept, report.verified, report.received) == (True, True, 0)
    assert (report.size, report.resumed, report.path) == (SIZE, SIZE, str(made / "f.bin"))
    assert [p.phase for p in seen if p.sources == ()][-1] == "checking"
    assert seen[-1].done == SIZE


def test_one_that_is_stopped(made: Path) -> None:
    stop = threading.Event()
    with pytest.raises(regather.InterruptedDownload):
        regather.download(
            manifest(made), made / "f.bin", stop=stop, on_progress=lambda _: stop.set()
        )


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda content: content[:-1], "with 2999999 bytes, the download has 3000000"),
        (lambda content: content + b"!", "with 3000001 bytes"),
        (lambda content: content[:-1] + bytes([content[-1] ^ 1]), "is a different file"),
        (lambda content: b"", "with 0 bytes"),
    ],
)
@pytest.mark.parametrize("how", ["manifest", "checksum"])
def test_another_file_is_refused_and_kept(made: Path, damage, says: str, how: str) -> None:  # type: ignore[no-untyped-def]
    content = (made / "f.bin").read_bytes()
    (made / "x").write_bytes(damage(content))
    before = (made / "x").read_bytes()
    with mirror(content) as one:
        named = [manifest(made)]
        if how == "checksum":
            named, says = [f"{one.url}f.bin", "--checksum", sha256(content)], "a different sha256"
        told = run("get", *named, "-o", "x", cwd=made)
        assert told.returncode == 6
        assert says in told.stderr
        assert "--force" in told.stderr
        assert len(told.stderr.splitlines()) == 1
        assert (made / "x").read_bytes() == before
        assert run("get", *named, "-o", "x", "--force", cwd=made).returncode == 0
    assert (made / "x").read_bytes() == content


def lately(one: Mirror) -> int:
    """How many requests came since the last call."""
    count = len(one.asked)
    one.asked.clear()
    return count


def test_by_its_checksum_and_without(made: Path) -> None:
    content = (made / "f.bin").read_bytes()
    with mirror(content) as one:
        told = run("get", f"{one.url}f.bin", "--checksum", sha256(content), cwd=made)
        assert told.returncode == 0
        assert "is right (sha256)" in told.stdout
        assert lately(one) == 1
        told = run("get", f"{one.url}f.bin", cwd=made)
        assert (told.returncode, lately(one)) == (6, 1)
        assert "cannot be verified" in told.stderr


def test_a_list_over_what_is_there(made: Path) -> None:
    """A file that has as many bytes is taken for the one; a stub of another tool is not."""
    content = (made / "f.bin").read_bytes()
    (made / "stub").write_bytes(content[:1000])
    with mirror(content) as one:
        (made / "list").write_text(
            f"{one.url}f.bin\n{one.url}stub\n{one.url}f.bin\n  checksum={sha256(content)}\n"
        )
        told = run("get", "-i", "list", cwd=made)
    assert told.returncode == 6
    assert "stub: already exists with 1000 bytes" in told.stderr
    assert told.stdout.count("f.bin: was there already") == 2
    assert told.stdout.count("NOT verified") == 1
    assert (made / "stub").read_bytes() == content[:1000]


def test_names_that_are_too_long(tmp_path: Path) -> None:
    """They are shortened, and stay apart."""
    with mirror(b"one") as one:
        for name in ("a" * 260, "b" * 260, "b" * 255 + "cc", "ü" * 130):
            told = run("get", f"{one.url}{name}.tar.gz", cwd=tmp_path)
            assert told.returncode == 0, told.stderr
    found = sorted(p.name for p in tmp_path.iterdir())
    assert len(found) == 4
    assert all(len(name.encode()) <= 255 and name.endswith(".gz") for name in found)


@pytest.mark.parametrize("suffix", [".regather-part", ".regather-part-journal"])
def test_what_a_download_left_that_was_killed_at_its_end(
    made: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """It is removed by the same command; the rest of another download is not."""
    unlink, left = os.unlink, made / f"copy{suffix}"

    def killed(path: Any, **options: Any) -> None:
        if str(path) == str(left):
            os._exit(0)
        unlink(path, **options)

    monkeypatch.setattr(os, "unlink", killed)
    in_child(lambda: regather.download(manifest(made), made / "copy", settings=QUICK))
    monkeypatch.undo()
    others = [made / f"other{s}" for s in (".regather-part", ".regather-part-journal")]
    for path in others:
        path.write_bytes(b"of another download")
    (made / "other").write_bytes((made / "copy").read_bytes())
    assert left.exists()
    for name in ("copy", "other"):
        assert regather.download(manifest(made), made / name, settings=QUICK).kept
    assert not list(made.glob("copy.*"))
    assert [path.read_bytes() for path in others] == [b"of another download"] * 2


@pytest.mark.parametrize(
    ("linked", "journal"), [(True, None), (True, b""), (False, bytes(300)), (True, bytes(300))]
)
def test_what_a_loss_of_power_brought_back(made: Path, linked: bool, journal: bytes | None) -> None:
    """The name of the partial file, or that of the journal and none of its bytes."""
    regather.download(manifest(made), made / "copy", settings=QUICK)
    part = made / "copy.regather-part"
    part.hardlink_to(made / "copy") if linked else part.write_bytes(b"of nobody")
    if journal is not None:
        (made / "copy.regather-part-journal").write_bytes(journal)
    assert regather.download(manifest(made), made / "copy", settings=QUICK).kept
    assert not list(made.glob("copy.*"))
