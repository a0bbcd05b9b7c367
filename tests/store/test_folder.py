"""A folder as a destination: nothing leaves it, replaces what is good, or is left behind."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

import regather
from regather.errors import DestinationExistsError, StorageError, UsageError
from regather.folder import Entry, Folder
from tests.support.trees import make_tree, told

QUICK = regather.Settings(sync=False)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A published tree; its manifest."""
    make_tree(tmp_path / "tree", large=1_500_000, small=10)
    report = regather.publish(
        tmp_path / "tree", tmp_path / "hosted", fragments=3, parity=1, survive=0
    )
    return Path(report.manifests[0])


@pytest.fixture
def dest(tmp_path: Path) -> Path:
    return tmp_path / "dest"


def get(made: Path, dest: Path, *, force: bool = False) -> regather.DownloadReport:
    return regather.download(str(made), dest, force=force, settings=QUICK)


def test_everything_is_kept(made: Path, dest: Path) -> None:
    report = get(made, dest)
    assert told(dest) == told(made.parent.parent / "tree")
    assert (report.path, report.name, report.files) == (str(dest), "tree", 16)
    assert report.verified
    assert report.digest == regather.Manifest.from_bytes(made.read_bytes()).digest


def test_its_own_name_in_the_current_folder(
    made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert regather.download(str(made), settings=QUICK).path == "tree"
    assert told(tmp_path / "here" / "tree") == told(tmp_path / "tree")


def test_again_fetches_nothing_and_touches_nothing(made: Path, dest: Path) -> None:
    get(made, dest)
    before = {p: p.lstat() for p in dest.rglob("*")}
    report = get(made, dest)
    assert (report.received, report.resumed) == (0, report.size)
    after = {p: p.lstat() for p in dest.rglob("*")}
    marks = [[(s.st_ino, s.st_mtime_ns) for s in m.values()] for m in (before, after)]
    assert marks[0] == marks[1]


def test_what_is_missing_comes_back_alone(made: Path, dest: Path) -> None:
    get(made, dest)
    inode = (dest / "a.bin").stat().st_ino
    (dest / "deep" / "er").chmod(0o755)
    (dest / "deep" / "er" / "b.bin").unlink()
    (dest / "nothing").rmdir()
    (dest / "latest").unlink()
    (dest / "deep" / "run.sh").chmod(0o600)
    (dest / "mine.txt").write_text("not of the collection")
    report = get(made, dest)
    assert report.received < 1 << 21
    assert (dest / "a.bin").stat().st_ino == inode
    assert (dest / "mine.txt").read_text() == "not of the collection"
    (dest / "mine.txt").unlink()
    assert told(dest) == told(made.parent.parent / "tree")


def test_rows_are_decoded_with_what_is_there_already(made: Path, dest: Path) -> None:
    """A fragment that nobody has comes from parity and from files that were not fetched."""
    get(made, dest)
    (made.parent / "file_fragment_1.dat").unlink()
    (dest / "a.bin").unlink()
    report = get(made, dest)
    assert report.decoded
    assert told(dest) == told(made.parent.parent / "tree")


# -- what is in the way -----------------------------------------------------------------------


def test_other_files_are_refused_before_anything_is_fetched(made: Path, dest: Path) -> None:
    get(made, dest)
    (dest / "deep" / "0001.txt").write_bytes(b"longer than it was" * 500)
    size = (dest / "a.bin").stat().st_size
    with pytest.raises(DestinationExistsError, match=r"0001\.txt: is a different file") as caught:
        get(made, dest)
    assert caught.value.exit_code == 6
    (dest / "deep" / "0001.txt").unlink()
    (dest / "a.bin").write_bytes(b"?" * size)  # the same size: only its hash tells
    (made.parent / "file_fragment_2.dat").rename(made.parent / "kept")
    with pytest.raises(DestinationExistsError, match=r"a\.bin: is a different file"):
        get(made, dest)
    (made.parent / "kept").rename(made.parent / "file_fragment_2.dat")
    assert (dest / "a.bin").read_bytes() == b"?" * size
    get(made, dest, force=True)
    assert told(dest) == told(made.parent.parent / "tree")


def _folder(path: Path) -> None:
    path.mkdir()


def _link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def _fifo(path: Path) -> None:
    os.mkfifo(path)


@pytest.mark.parametrize("put", [_link, _fifo])
def test_links_and_pipes_are_replaced_by_force_alone(
    made: Path, dest: Path, put: Callable[[Path], None]
) -> None:
    dest.mkdir()
    put(dest / "a.bin")
    before = (dest / "a.bin").lstat()
    with pytest.raises(DestinationExistsError):
        get(made, dest)
    assert (dest / "a.bin").lstat() == before
    get(made, dest, force=True)
    assert told(dest) == told(made.parent.parent / "tree")


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("name", ["a.bin", "latest"])
def test_folders_are_never_replaced(made: Path, dest: Path, name: str, force: bool) -> None:
    dest.mkdir()
    (dest / name).mkdir()
    with pytest.raises(UsageError, match=f"{name}: is a folder"):
        get(made, dest, force=force)
    assert os.listdir(dest) == [name]


@pytest.mark.parametrize("force", [False, True])
def test_nothing_is_written_through_links(
    made: Path, dest: Path, tmp_path: Path, force: bool
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name in ("deep", ".regather-part"):
        dest.mkdir()
        (dest / name).symlink_to(outside)
        with pytest.raises(UsageError, match=f"{name}: is a link or a file"):
            get(made, dest, force=force)
        assert list(outside.iterdir()) == []
        shutil.rmtree(dest)
    dest.mkdir()
    (dest / "deep").mkdir()
    (dest / "deep" / "er").symlink_to(outside)
    with pytest.raises(UsageError, match="deep/er: is a link or a file"):
        get(made, dest, force=force)
    assert list(outside.iterdir()) == []


def test_a_folder_of_other_things_is_not_filled_by_mistake(made: Path, dest: Path) -> None:
    dest.mkdir()
    (dest / "mine.txt").write_text("mine")
    with pytest.raises(DestinationExistsError, match="contains other files") as caught:
        get(made, dest)
    assert f"-o {dest / 'tree'}" in caught.value.help
    assert os.listdir(dest) == ["mine.txt"]
    get(made, dest, force=True)
    assert (dest / "mine.txt").read_text() == "mine"


def test_a_folder_that_is_called_alike_makes_it_no_destination(made: Path, dest: Path) -> None:
    """Whoever names a home or a project by mistake has folders that are called like ours."""
    (dest / "deep").mkdir(parents=True)
    (dest / "deep" / "mine.txt").write_text("mine")
    (dest / "mine.txt").write_text("mine")
    with pytest.raises(DestinationExistsError, match="contains other files"):
        get(made, dest)
    assert os.listdir(dest / "deep") == ["mine.txt"]
    regather.download(str(made), dest, select="nothing", force=True, settings=QUICK)
    (dest / "mine.txt").unlink()
    assert get(made, dest).verified  # nothing else is in it


def test_a_file_where_the_folder_is_to_be(made: Path, dest: Path) -> None:
    dest.write_text("mine")
    with pytest.raises(DestinationExistsError):
        get(made, dest)
    with pytest.raises(UsageError, match="is a file, not a folder"):
        get(made, dest, force=True)
    assert dest.read_text() == "mine"
    with pytest.raises(UsageError, match="does not exist"):
        get(made, dest.parent / "no" / "such")


def test_a_link_to_the_folder_is_what_the_user_wants(made: Path, dest: Path) -> None:
    (dest.parent / "real").mkdir()
    dest.symlink_to("real")
    get(made, dest)
    assert told(dest.parent / "real") == told(made.parent.parent / "tree")


def test_a_failed_start_leaves_nothing(made: Path, dest: Path) -> None:
    for path in made.parent.glob("*.dat"):
        path.unlink()
    with pytest.raises(regather.NotEnoughSourcesError):
        get(made, dest)
    assert not dest.exists()


def test_a_checksum_is_of_one_file(made: Path, dest: Path) -> None:
    with pytest.raises(UsageError, match="use --digest for a folder"):
        regather.download(str(made), dest, checksum="sha256:" + "0" * 64)
    with pytest.raises(regather.VerificationError, match="its digest is"):
        regather.download(str(made), dest, digest="0" * 64)
    assert not dest.exists()


def meanwhile(made: Path, dest: Path, act: Callable[[], object]) -> None:
    """Download, and do something while it runs."""
    done: list[bool] = []

    def watch(progress: regather.Progress) -> None:
        if progress.done and not done:
            done.append(True)
            act()

    slow = regather.Settings(sync=False, limit_rate=4_000_000)
    regather.download(str(made), dest, on_progress=watch, settings=slow)


def test_what_appears_meanwhile_is_left_alone(made: Path, dest: Path, tmp_path: Path) -> None:
    def appear() -> None:
        (dest / "deep").mkdir()
        (dest / "deep/0001.txt").write_text("me")

    with pytest.raises(DestinationExistsError, match=r"deep/0001\.txt") as caught:
        meanwhile(made, dest, appear)
    assert caught.value.exit_code == 6
    assert (dest / "deep/0001.txt").read_text() == "me"
    (dest / "deep/0001.txt").unlink()
    assert get(made, dest).received == 0
    assert told(dest) == told(tmp_path / "tree")


def test_links_that_appear_meanwhile_lead_nowhere(made: Path, dest: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    with pytest.raises(UsageError, match="deep: is a link or a file"):
        meanwhile(made, dest, lambda: (dest / "deep").symlink_to(tmp_path / "outside"))
    assert os.listdir(tmp_path / "outside") == []
    (dest / "deep").unlink()
    assert get(made, dest).received == 0
    assert told(dest) == told(tmp_path / "tree")


def test_a_tar_of_others_is_put_together_too(made: Path, dest: Path, tmp_path: Path) -> None:
    """What stands between the files is of no concern, even where rows are decoded with it."""
    manifest = regather.Manifest.from_bytes(made.read_bytes())
    assert manifest.folder is not None
    packed = bytearray(
        b"".join((made.parent / f"file_fragment_{n}.dat").read_bytes() for n in (1, 2, 3))
    )
    for before, after in pairwise([e for e in manifest.folder.entries if e.size]):
        packed[before.end : after.offset] = b"#" * (after.offset - before.end)
    (tmp_path / "tree.tar").write_bytes(packed)
    other = regather.split(tmp_path / "tree.tar", tmp_path / "other", fragments=3, parity=1)
    odd = replace(other, name="tree", folder=manifest.folder)
    path = tmp_path / "other" / "tree.regather.json"
    path.write_bytes(odd.to_bytes())
    get(path, dest)
    assert told(dest) == told(tmp_path / "tree")
    (dest / "a.bin").unlink()
    (dest / "deep" / "0001.txt").unlink()
    (tmp_path / "other" / "file_fragment_1.dat").unlink()
    assert get(path, dest).decoded
    assert told(dest) == told(tmp_path / "tree")


# -- interrupted ------------------------------------------------------------------------------


def stopped(made: Path, dest: Path, share: float) -> None:
    """Stop a download when so much of it is there."""
    stop = threading.Event()

    def watch(progress: regather.Progress) -> None:
        if progress.phase == "downloading" and progress.done >= share * progress.size:
            stop.set()

    with pytest.raises(regather.InterruptedDownload):
        regather.download(
            str(made),
            dest,
            stop=stop,
            on_progress=watch,
            settings=regather.Settings(sync=False, limit_rate=4_000_000),
        )


def test_a_stopped_download_goes_on(made: Path, dest: Path) -> None:
    stopped(made, dest, 0.3)
    assert os.listdir(dest) == [".regather-part"]
    assert stat.S_IMODE((dest / ".regather-part").stat().st_mode) == 0o700
    report = get(made, dest)
    assert report.resumed
    assert report.received + report.resumed == report.size
    assert told(dest) == told(made.parent.parent / "tree")


def test_what_stands_behind_the_end_of_a_file_gets_no_name(made: Path, dest: Path) -> None:
    stopped(made, dest, 0.5)
    for path in (dest / ".regather-part").iterdir():
        if path.name.isdecimal():
            with path.open("ab") as file:
                file.write(b"not verified")
    assert get(made, dest).resumed
    assert told(dest) == told(made.parent.parent / "tree")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give folders to others")
def test_a_folder_of_somebody_else_is_not_filled(made: Path, dest: Path) -> None:
    (dest / ".regather-part").mkdir(parents=True)
    os.chown(dest / ".regather-part", 65534, 65534)
    with pytest.raises(StorageError, match="belongs to another user"):
        get(made, dest)
    assert os.listdir(dest) == [".regather-part"]


def test_what_was_damaged_meanwhile_is_fetched_again(made: Path, dest: Path) -> None:
    stopped(made, dest, 0.5)
    for path in (dest / ".regather-part").iterdir():
        if path.name not in ("journal", "rest"):
            path.write_bytes(bytes(path.stat().st_size))
    (dest / ".regather-part" / "rest").unlink()
    assert get(made, dest).resumed == 0
    assert told(dest) == told(made.parent.parent / "tree")


def test_a_copy_in_links_is_neither_changed_nor_relied_on(made: Path, dest: Path) -> None:
    stopped(made, dest, 0.6)
    copy = dest.with_name("copy")
    shutil.copytree(dest, copy, copy_function=os.link)
    before = told(copy)
    assert get(made, dest).received
    assert told(dest) == told(made.parent.parent / "tree")
    assert told(copy).keys() == before.keys()
    names = [name for name in before if not name.endswith("journal")]
    assert [told(copy)[name] for name in names] == [before[name] for name in names]


def test_what_vanishes_meanwhile_is_missed(made: Path, dest: Path) -> None:
    def vanish() -> None:
        for path in (dest / ".regather-part").iterdir():
            if path.name.isdecimal():
                path.unlink()

    with pytest.raises(StorageError, match="no such file"):
        meanwhile(made, dest, vanish)
    assert get(made, dest).verified
    assert told(dest) == told(made.parent.parent / "tree")


def test_another_version_starts_anew(made: Path, dest: Path, tmp_path: Path) -> None:
    stopped(made, dest, 0.5)
    (tmp_path / "tree" / "deep" / "0001.txt").write_bytes(b"new")
    other = regather.publish(tmp_path / "tree", tmp_path / "second", fragments=2)
    report = get(Path(other.manifests[0]), dest)
    assert report.resumed == 0
    assert told(dest) == told(tmp_path / "tree")


def test_a_new_version_fetches_what_changed(made: Path, dest: Path, tmp_path: Path) -> None:
    get(made, dest)
    (tmp_path / "tree" / "größe mit leer.txt").write_text("a new text, longer than the old one")
    other = regather.publish(tmp_path / "tree", tmp_path / "second", fragments=2)
    report = get(Path(other.manifests[0]), dest, force=True)
    assert 0 < report.received <= 2 << 20
    assert told(dest) == told(tmp_path / "tree")


@pytest.mark.parametrize("name", ["journal", "rest", "0"])
def test_what_stands_in_the_way_in_the_staging_folder_is_named(
    made: Path, dest: Path, name: str
) -> None:
    (dest / ".regather-part" / name).mkdir(parents=True)
    with pytest.raises(StorageError, match=rf"\.regather-part/{name}: is a directory"):
        get(made, dest)


def test_two_at_once(made: Path, dest: Path) -> None:
    seen: list[str] = []

    def watch(progress: regather.Progress) -> None:
        if progress.phase == "downloading" and progress.done and not seen:
            with pytest.raises(StorageError, match="another process"):
                get(made, dest)
            seen.append("refused")

    slow = regather.Settings(sync=False, limit_rate=4_000_000)
    regather.download(str(made), dest, on_progress=watch, settings=slow)
    assert seen == ["refused"]
    assert told(dest) == told(made.parent.parent / "tree")


def unprivileged(code: str, *arguments: str) -> int:
    """Run Python code as somebody for whom modes count; returns what it ended with."""
    drop = ["setpriv", "--bounding-set=-all"] if os.geteuid() == 0 else []
    command = [*drop, sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=False, timeout=60).returncode


def test_read_only_folders_are_mended(made: Path, dest: Path) -> None:
    (made.parent.parent / "tree" / "deep").chmod(0o555)
    other = regather.publish(made.parent.parent / "tree", made.parent.parent / "more", survive=0)
    code = "import sys, regather; regather.download(*sys.argv[1:3])"
    assert unprivileged(code, other.manifests[0], str(dest)) == 0
    for path in (dest / "deep", dest / "deep" / "er"):
        path.chmod(0o755)
    shutil.rmtree(dest / "deep" / "er")
    (dest / "deep" / "0001.txt").unlink()
    (dest / "deep" / "dangling").unlink()
    (dest / "deep").chmod(0o555)
    assert unprivileged(code, other.manifests[0], str(dest)) == 0
    assert told(dest) == told(made.parent.parent / "tree")


MOUNTED = """
import sys, subprocess, regather
subprocess.run(["mount", "-t", "tmpfs", "none", sys.argv[2] + "/deep"], check=True)
try:
    regather.download(sys.argv[1], sys.argv[2], force=len(sys.argv) > 3)
except regather.UsageError as error:
    print(error)
"""


@pytest.mark.parametrize("force", [False, True])
def test_another_file_system_inside(made: Path, dest: Path, force: bool) -> None:
    """Told before anything is fetched: nothing can be moved there."""
    (dest / "deep").mkdir(parents=True)
    command = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", MOUNTED]
    ended = subprocess.run(
        [*command, str(made), str(dest), *["force"] * force],
        check=True, timeout=60, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert "deep: is on another file system than" in ended.stdout
    assert os.listdir(dest) == ["deep"]


KILLED = """
import os, signal, sys, regather
call, count = sys.argv[3], int(sys.argv[4])
real = getattr(os, call)
left = [count]
def killed(*arguments, **named):
    result = real(*arguments, **named)
    left[0] -= 1
    if not left[0]:
        os.kill(os.getpid(), signal.SIGKILL)
    return result
setattr(os, call, killed)
regather.download(sys.argv[1], sys.argv[2], force=len(sys.argv) > 5)
"""


@pytest.mark.parametrize(
    ("call", "count", "force"),
    [
        *(("link", 1, False), ("link", 7, False), ("unlink", 3, False), ("replace", 9, True)),
        *(("symlink", 2, False), ("mkdir", 4, False), ("fchmod", 5, False), ("fchmod", 19, False)),
        *(("pwrite", 12, False), ("rmdir", 1, False)),
    ],
)
def test_killed_while_it_writes_and_moves(
    made: Path, dest: Path, call: str, count: int, force: bool
) -> None:
    """By SIGKILL right after a call of the system; whatever has its name then is right."""
    command = [sys.executable, "-c", KILLED, str(made), str(dest), call, str(count)]
    ended = subprocess.run([*command, *["force"] * force], timeout=60, check=False)
    assert ended.returncode == -signal.SIGKILL
    want = told(made.parent.parent / "tree")
    for path, (kind, _, _, content) in told(dest).items():
        if not path.startswith(".regather-part"):
            assert (kind, content) == (want[path][0], want[path][3]), path
    report = get(made, dest, force=force)
    assert told(dest) == want
    if call != "pwrite":
        assert report.received == 0


def test_read_only_files_go_on_after_a_kill(made: Path, dest: Path) -> None:
    """They have got their modes, and one of them is damaged."""
    assert unprivileged(KILLED, str(made), str(dest), "link", "1") == -signal.SIGKILL
    for path in (dest / ".regather-part").iterdir():
        if stat.S_IMODE(path.stat().st_mode) == 0o400:
            path.write_bytes(b"") if os.geteuid() == 0 else path.unlink()
    assert unprivileged(KILLED, str(made), str(dest), "link", "100000") == 0
    assert told(dest) == told(made.parent.parent / "tree")


@pytest.mark.parametrize("mtime", [-1, -2, 2**33, 2**40, 2**50, -(2**50)])
def test_times_of_all_ages(tmp_path: Path, mtime: int) -> None:
    """They are kept as far as the file system can, and where it cannot that is told."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a").write_bytes(b"old")
    manifest = regather.split(tmp_path / "tree", tmp_path / "out")
    assert manifest.folder is not None
    entry = msgspec.structs.replace(manifest.folder.entries[0], mtime=mtime)
    aged = replace(manifest, folder=Folder((entry,)))
    assert aged.digest != manifest.digest
    path = tmp_path / "out" / "tree.regather.json"
    path.write_bytes(aged.to_bytes())
    report = get(path, tmp_path / "dest")
    kept = (tmp_path / "dest" / "a").stat().st_mtime_ns // 10**9 == mtime
    assert kept != any("changed the modification time" in note for note in report.notes)


def test_no_time_and_the_last_second_of_1969_differ() -> None:
    entry = Entry("a", "file", "644", mtime=-1, blake3="0" * 64)
    other = msgspec.structs.replace(entry, mtime=None)
    assert Folder((entry,)).identity("00") != Folder((other,)).identity("00")
