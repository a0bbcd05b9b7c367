"""The pass with parity as a whole: where fragments go, what is left when it fails, its memory."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

import regather
from regather.coding.placement import spread
from regather.errors import DestinationExistsError, RegatherError, StorageError, UsageError
from regather.splitter.geometry import fragment_sizes, layout_of
from tests.support.files import MIB, random_file

PIECE = MIB


# -- placement --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("servers", "replicas"),
    [(s, r) for s in (1, 2, 5, 6, 7, 12, 30) for r in (1, 2, 3) if r <= s],
)
def test_members_of_a_set_share_no_server_where_there_are_enough(
    servers: int, replicas: int
) -> None:
    for shape in itertools.product((1, 4, 7, 12), (1, 2, 3), (0, 1, 3, 4)):
        check_spread(*shape, servers, replicas)


def check_spread(fragments: int, parity: int, set_size: int, servers: int, replicas: int) -> None:
    layout = layout_of(1000, fragment_sizes(1000, fragments, None), parity, set_size)
    copies = spread(layout, servers, replicas)
    assert len(copies) == len(layout.fragments)
    for places in copies:
        assert len(set(places)) == len(places) == replicas
        assert all(0 <= place < servers for place in places)
    for erasure_set in layout.sets:
        members = [*erasure_set.data, *erasure_set.parity]
        if len(members) <= servers:
            assert len({copies[f][0] for f in members}) == len(members)
        if len(members) * replicas <= servers:
            assert len({p for f in members for p in copies[f]}) == len(members) * replicas
    held = [sum(places.count(s) for places in copies) for s in range(servers)]
    assert max(held) - min(held) <= (1 if replicas == 1 else replicas)


def test_the_folders_hold_what_the_manifest_says(tmp_path: Path) -> None:
    path = random_file(tmp_path / "f", 5000)
    at = [f"http://h{n}.example/d" for n in range(6)]
    manifest = regather.split(path, tmp_path / "o", fragments=4, parity=2, servers=6, at=at)
    for n, source in enumerate(manifest.sources, 1):
        names = sorted(p.name for p in (tmp_path / "o" / f"server{n}").glob("*.dat"))
        held = [f.name for f in manifest.fragments if f.index in (source.fragments or ())]
        assert names == sorted(held)
        assert len(names) == 1, "one server lost is one fragment lost"


def test_replicas_of_parity_are_alike(tmp_path: Path) -> None:
    path = random_file(tmp_path / "f", 3 * PIECE + 5)
    out = tmp_path / "o"
    manifest = regather.split(path, out, fragments=2, parity=1, servers=4, replicas=3)
    for fragment in manifest.fragments:
        copies = [p.read_bytes() for p in out.rglob(fragment.name)]
        assert len(copies) == 3
        assert len(set(copies)) == 1


# -- an earlier split -------------------------------------------------------------------------


def test_stale_parity_is_in_the_way_and_goes_with_force(tmp_path: Path) -> None:
    path, out = random_file(tmp_path / "f", 5000), tmp_path / "o"
    regather.split(path, out, fragments=4, parity=3, set_size=2)
    assert (out / "file_parity_2_3.dat").exists()
    regather.split(path, out, fragments=4, parity=1, force=True)
    assert sorted(p.name for p in out.glob("file_parity_*")) == ["file_parity_1_1.dat"]
    regather.split(path, out, fragments=4, force=True)
    assert list(out.glob("file_parity_*")) == []
    # A parity fragment alone, and names that only look like one.
    (out / "f.regather.json").unlink()
    for data in out.glob("file_fragment_*"):
        data.unlink()
    (out / "file_parity_1_2.dat").write_bytes(b"old")
    mine = [out / "file_parity_0_1.dat", out / "file_parity_1.dat", out / "file_parity_1_01.dat"]
    for other in mine:
        other.write_bytes(b"mine")
    with pytest.raises(DestinationExistsError, match=r"file_parity_1_2\.dat"):
        regather.split(path, out)
    regather.split(path, out, force=True)
    assert sorted(out.glob("file_parity_*")) == sorted(mine)


def test_folders_of_servers_that_a_new_split_does_not_use(tmp_path: Path) -> None:
    path, out = random_file(tmp_path / "f", 50_000), tmp_path / "o"
    regather.split(path, out, servers=5, fragments=3)  # the last one gets a manifest alone
    assert [p.name for p in (out / "server5").iterdir()] == ["f.regather.json"]
    (out / "server9").mkdir()
    regather.split(path, out, servers=5, fragments=8, parity=2, force=True)
    regather.split(path, out, servers=6, fragments=5, force=True)
    (out / "server3" / "mine").write_bytes(b"mine")
    with pytest.raises(DestinationExistsError, match="already contains fragments"):
        regather.split(path, out, servers=2)
    assert (out / "server4" / "f.regather.json").exists()
    regather.split(path, out, servers=2, fragments=2, force=True)
    assert sorted(str(p.relative_to(out)) for p in out.rglob("*")) == [
        "f.regather.json",
        *("server1", "server1/f.regather.json", "server1/file_fragment_1.dat"),
        *("server2", "server2/f.regather.json", "server2/file_fragment_2.dat"),
        *("server3", "server3/mine", "server9"),
    ]
    report = regather.download(out / "f.regather.json", tmp_path / "copy")
    assert not any(source.corrupt for source in report.sources)
    (out / "server3" / "mine").unlink()
    regather.split(path, out, force=True)
    assert sorted(p.name for p in out.iterdir()) == [
        "f.regather.json",
        *(f"file_fragment_{n}.dat" for n in (1, 2, 3)),
        *("server3", "server9"),
    ]


def test_another_file_in_place_of_the_first(tmp_path: Path) -> None:
    path, out = random_file(tmp_path / "f", 50_000), tmp_path / "o"
    regather.split(path, out, servers=3)
    strange = regather.split(random_file(tmp_path / "strange", 7), tmp_path / "s", fragments=2)
    (out / "strange.regather.json").write_bytes(strange.to_bytes())
    regather.split(random_file(tmp_path / "g", 60_000), out, servers=2, force=True)
    assert sorted(p.name for p in out.rglob("*.json")) == [
        *("g.regather.json",) * 3,
        "strange.regather.json",
    ], "what describes fragments that are gone promises nothing any more"
    assert not (out / "server3").exists()


@pytest.mark.parametrize("flaw", ["gone", "damaged", "of another"])
def test_what_nobody_knows_in_a_folder_that_is_not_used(tmp_path: Path, flaw: str) -> None:
    path, out = random_file(tmp_path / "f", 50_000), tmp_path / "o"
    regather.split(path, out, servers=3)
    manifest = out / "server3" / "f.regather.json"
    if flaw == "gone":
        manifest.unlink()
    elif flaw == "damaged":
        manifest.write_bytes(manifest.read_bytes()[:-100])
    else:
        (out / "server3" / "file_fragment_3.dat").write_bytes(b"mine")
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    for force in (False, True):
        with pytest.raises(UsageError) as caught:
            regather.split(path, out, servers=2, force=force)
    assert "does not belong to a manifest" in str(caught.value)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_the_input_may_be_called_like_parity(tmp_path: Path) -> None:
    source = random_file(tmp_path / "file_parity_1_1.dat", 5000)
    content = source.read_bytes()
    with pytest.raises(UsageError, match="is the file to split"):
        regather.split(source, tmp_path, parity=1, force=True)
    assert source.read_bytes() == content
    regather.split(source, tmp_path / "o", parity=1)


# -- when it fails ----------------------------------------------------------------------------


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"other")


@pytest.mark.parametrize(
    "change",
    [lambda path: os.truncate(path, 0), lambda path: os.truncate(path, 5 * PIECE), grow, rewrite],
    ids=["emptied", "shortened", "grown", "rewritten"],
)
def test_the_input_changes_meanwhile(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = random_file(tmp_path / "f", 24 * PIECE)
    os.utime(path, (1, 1))
    pending = [change]

    def on_progress(done: int, size: int) -> None:
        if pending:
            pending.pop()(path)

    with pytest.raises(RegatherError, match="while it was split"):
        regather.split(path, tmp_path / "o", parity=2, servers=5, on_progress=on_progress)
    assert [p for p in (tmp_path / "o").rglob("*") if p.is_file()] == []


def test_what_progress_raises_ends_it(tmp_path: Path) -> None:
    path = random_file(tmp_path / "f", 6 * PIECE)

    def on_progress(done: int, size: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        regather.split(path, tmp_path / "o", parity=2, on_progress=on_progress)
    assert list((tmp_path / "o").iterdir()) == []


def test_progress_ends_at_the_size(tmp_path: Path) -> None:
    path = random_file(tmp_path / "f", 7 * PIECE + 3)
    told: list[tuple[int, int]] = []
    regather.split(
        path, tmp_path / "o", parity=2, set_size=2, on_progress=lambda *now: told.append(now)
    )
    done = [count for count, _ in told]
    assert done == sorted(set(done))
    assert told[-1] == (path.stat().st_size, path.stat().st_size)


@pytest.mark.parametrize("parity", [0, 2])
def test_a_full_disk(tmp_path: Path, parity: int, monkeypatch: pytest.MonkeyPatch) -> None:
    path = random_file(tmp_path / "f", 4 * PIECE)

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(StorageError, match="free some space"):
        regather.split(path, tmp_path / "o", parity=parity)
    assert list((tmp_path / "o").iterdir()) == []


def test_too_many_open_files(tmp_path: Path) -> None:
    """All fragments of a set are open at once: where they may not, the error says what helps."""
    path = random_file(tmp_path / "f", 8 * MIB)
    command = [
        "split",
        str(path),
        "--out",
        str(tmp_path / "o"),
        "--fragments",
        "200",
        "--parity=20",
    ]
    told = subprocess.run(
        ["sh", "-c", 'ulimit -n 100 && exec "$0" -m regather "$@"', sys.executable, *command],
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 1
    assert "--set-size" in told.stderr
    assert len(told.stderr.splitlines()) == 1
    assert list((tmp_path / "o").iterdir()) == []
    regather.split(path, tmp_path / "o", fragments=200, parity=20)


# -- memory -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("fragments", "parity"), [(4, 2), (200, 20)])
def test_memory_is_bounded(tmp_path: Path, fragments: int, parity: int) -> None:
    """A row of 220 pieces is as large as the file; only strips of it are held."""
    path = tmp_path / "f"
    path.touch()
    os.truncate(path, 200 * PIECE)
    regather.split(random_file(tmp_path / "g", 1), tmp_path / "warm", parity=1)
    tracemalloc.start()
    try:
        regather.split(path, tmp_path / "o", fragments=fragments, parity=parity)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # A thread a core and one more, each with strips of 4 MiB.
    assert peak < ((os.cpu_count() or 1) + 1) * 5 * MIB + 8 * MIB


# -- temporary names --------------------------------------------------------------------------


def dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


@pytest.mark.parametrize("parity", [0, 1])
def test_what_a_killed_split_left_goes_with_the_next(tmp_path: Path, parity: int) -> None:
    path = random_file(tmp_path / "f", 5000)
    dead, alive = dead_process(), os.getppid()
    out = tmp_path / "o"
    folders = (out, out / "server1", out / "server2")
    for folder in folders:
        folder.mkdir()
        for name in ("file_fragment_9.dat", "file_parity_1_1.dat", "f.regather.json", "mine"):
            (folder / f"{name}.regather-part-{dead}").touch()
        (folder / f"file_fragment_1.dat.regather-part-{alive}").touch()
    regather.split(path, out, fragments=2, parity=parity, servers=2, survive=0)
    for folder in folders:
        assert sorted(n for n in os.listdir(folder) if "-part" in n) == [
            f"file_fragment_1.dat.regather-part-{alive}",
            f"mine.regather-part-{dead}",
        ]


def test_links_in_the_place_of_temporary_names_are_not_followed(tmp_path: Path) -> None:
    """Anyone who may write to the folder can foresee them."""
    path, out = random_file(tmp_path / "f", 5000), tmp_path / "o"
    out.mkdir()
    (tmp_path / "precious").write_bytes(b"precious")
    for name in ("file_fragment_1.dat", "file_parity_1_1.dat", "f.regather.json", "g"):
        (out / f"{name}.regather-part-{os.getpid()}").symlink_to(tmp_path / "precious")
    regather.split(path, out, fragments=2, parity=1)
    regather.generate(out / "g", 1000)
    assert (tmp_path / "precious").read_bytes() == b"precious"
    assert not any(p.is_symlink() for p in out.iterdir())


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
def test_a_polite_kill_leaves_nothing(tmp_path: Path, number: str) -> None:
    path, out = random_file(tmp_path / "f", 5 * MIB), tmp_path / "o"
    program = f"""if True:
        import os, signal, sys
        import regather.splitter
        from regather.cli import main

        def split(*arguments, split=regather.splitter.split, **options):
            options["on_progress"] = lambda done, size: os.kill(os.getpid(), signal.{number})
            return split(*arguments, **options)

        regather.splitter.split = split
        sys.exit(main(["split", {str(path)!r}, "--out", {str(out)!r}, "--parity", "1"]))
    """
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (130, "regather: interrupted\n")
    assert os.listdir(out) == []
