"""An open file in other processes: after a fork, and pickled."""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import os
import pickle
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest

import regather
from tests.reading.support import PIECE, QUICK, SIZE, Made, split_for_reading
from tests.support.forks import in_child
from tests.support.hosting import Hosting
from tests.support.tls import issue

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
"""Python 3.12 and later warn of what is tested here."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return split_for_reading(tmp_path_factory.mktemp("processes"), fragments=3, servers=2)


@pytest.fixture(scope="module")
def served(made: Made) -> Iterator[list[str]]:
    with Hosting() as hosting:
        yield [hosting.serve(folder).url for folder in made.servers]


@pytest.fixture(params=["http", "https", "local"])
def file(
    request: pytest.FixtureRequest, made: Made, served: list[str], tmp_path: Path
) -> Iterator[regather.RemoteFile]:
    servers, settings = served, regather.Settings()
    with Hosting() as hosting:
        if request.param == "https":
            tls = issue(tmp_path / "tls")
            servers = [hosting.serve(folder, tls=tls).url for folder in made.servers]
            settings = regather.Settings(cacert=str(tls.authority))
        elif request.param == "local":
            servers = [str(folder) for folder in made.servers]
        with regather.open(made.manifest, servers=servers, settings=settings) as opened:
            yield opened


def test_a_child_reads_on(made: Made, file: regather.RemoteFile) -> None:
    file.seek(100)
    assert file.read(1000) == made.content[100:1100]

    def child() -> None:
        assert file.tell() == 1100
        assert file.received == 0
        assert file.read(5 * PIECE) == made.content[1100 : 1100 + 5 * PIECE]
        assert file.pread(9, SIZE - 9) == made.content[-9:]
        file.close()

    in_child(child)
    assert file.tell() == 1100
    assert file.read() == made.content[1100:]
    in_child(lambda: in_child(child) if file.seek(1100) else None)


def test_a_fork_while_other_threads_read(made: Made, file: regather.RemoteFile) -> None:
    over, wrong = threading.Event(), list[int]()

    def read(start: int) -> None:
        while not over.is_set():
            start = (start + 7 * PIECE + 1) % SIZE
            if file.pread(2 * PIECE, start) != made.content[start : start + 2 * PIECE]:
                wrong.append(start)

    def child() -> None:
        assert file.pread(SIZE, 0) == made.content

    threads = [threading.Thread(target=read, args=(n * 999,)) for n in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            in_child(child)
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    assert not wrong
    assert file.pread(SIZE, 0) == made.content


def test_a_fork_with_every_lock_held(made: Made, served: list[str]) -> None:
    with regather.open(made.manifest, servers=served) as file:
        file.read(10)
        session = file._session

        def child() -> None:
            assert file.read(10) == made.content[10:20]
            session.close()  # as when Python ends

        held, over = threading.Event(), threading.Event()

        def hold() -> None:
            with session._lock, file._lock:
                held.set()
                over.wait(60)

        thread = threading.Thread(target=hold)
        thread.start()
        try:
            assert held.wait(60)
            in_child(child)
        finally:
            over.set()
            thread.join(60)


def sockets() -> set[str]:
    """The sockets of this process to servers, by their own address."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        try:
            double = os.dup(int(name))
        except OSError:
            continue
        try:
            one = socket.socket(fileno=double)
        except OSError:  # no socket: the double would keep a pipe open
            os.close(double)
            continue
        with one, contextlib.suppress(OSError):
            if one.family == socket.AF_INET:
                found.add(f"{one.getsockname()} {one.getpeername()}")
    return found


def test_nothing_is_shared_with_the_parent(made: Made, served: list[str]) -> None:
    before = sockets()
    with regather.open(made.manifest, servers=served) as file:
        file.read()
        # The servers are in this process too: these are of either end.
        ports = {url.rstrip("/").rpartition(":")[2] for url in served}
        ours = {s for s in sockets() - before if any(s.endswith(f", {p})") for p in ports)}
        assert ours

        def child() -> None:
            assert not ours & sockets()
            assert file.seek(5) == 5
            file.read(10)
            assert not ours & sockets()

        in_child(child)
        assert ours <= sockets()
        received = file.received
        file.seek(0)
        assert file.read() == made.content
        assert file.received == received, "the parent had to fetch again"


def test_a_child_that_ends_as_programs_do(made: Made, served: list[str]) -> None:
    """With sys.exit, after which Python tidies up, and without having read."""
    code = (
        "import os, sys, regather\n"
        f"file = regather.open({made.manifest!r}, servers={served!r})\n"
        "file.read(100)\n"
        "pid = os.fork()\n"
        "if not pid: sys.exit(7)\n"
        "status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])\n"
        "print(status, len(file.read()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.split() == ["7", str(SIZE - 100)]
    assert not done.stderr


def end_of(file: regather.RemoteFile) -> tuple[int, bytes]:
    """In another process: where the file stands, and what follows."""
    with file:
        return file.tell(), file.read()


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.parametrize("by", ["open", "fsspec"])
def test_pools(made: Made, served: list[str], method: str, by: str) -> None:
    if by == "open":
        file = regather.open(made.manifest, servers=served, settings=QUICK)
    else:
        file = fsspec.filesystem("regather", servers=served, retries=2).open(made.manifest)
    with file:
        file.seek(SIZE - 50)
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.apply(end_of, (file,)) == (SIZE - 50, made.content[-50:])
            pool.close()
            pool.join()
        assert file.read() == made.content[-50:]


def test_a_pickle_needs_no_manifest_and_no_folder(
    made: Made, served: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made.folder)
    with regather.open("file.bin.regather.json") as file:
        assert file.read(5) == made.content[:5]
        packed = pickle.dumps(file)
        monkeypatch.chdir(tmp_path)
        assert file.read(5) == made.content[5:10]
    again = pickle.loads(packed)
    assert [t for t in threading.enumerate() if t.name.startswith("regather-")] == []
    with again:
        assert (again.tell(), again.size, again.name) == (5, SIZE, "file.bin")
        assert again.digest == file.digest
        assert again.read() == made.content[5:]


def test_settings_are_pickled_and_files_are_named(made: Made, tmp_path: Path) -> None:
    (tmp_path / "cookies").write_text("# Netscape HTTP Cookie File\n")
    settings = regather.Settings(
        tokens={"h.example": "given-as-it-is"},
        hosts={"h.example": regather.HostOptions(headers=(("X-Key", "v"),))},
        cookies=str(tmp_path / "cookies"),
        retries=1,
    )
    with regather.open(made.manifest, settings=settings, cache_size=5 * PIECE) as file:
        packed = pickle.dumps(file)
    assert b"given-as-it-is" in packed
    assert b"Netscape" not in packed
    with pickle.loads(packed) as again:
        assert again._recipe.settings == settings
        assert again._recipe.cache_size == 5 * PIECE
        assert again.read() == made.content


def test_a_pickle_has_no_list_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "one of many").write_bytes(b"x")
    regather.split(tmp_path / "folder", tmp_path / "out", fragments=1)
    with regather.open(tmp_path / "out" / "folder.regather.json") as file:
        packed = pickle.dumps(file)
        assert b"one of many" not in packed
        with pickle.loads(packed) as again:
            assert again.read() == file.read()


def test_copies_have_positions_of_their_own(made: Made, file: regather.RemoteFile) -> None:
    file.seek(10)
    for made_by in (copy.copy, copy.deepcopy):
        with made_by(file) as other:
            assert other.read(5) == made.content[10:15]
    assert file.tell() == 10


def test_file_systems_pickle(made: Made, served: list[str]) -> None:
    options = {"servers": served, "tokens": {"h.example": "x"}, "hosts": {"h": {"user": "u"}}}
    fs = fsspec.filesystem("regather", **options)
    for again in (
        pickle.loads(pickle.dumps(fs)),
        fsspec.AbstractFileSystem.from_json(fs.to_json()),
        fsspec.AbstractFileSystem.from_dict(fs.to_dict()),
    ):
        assert again == fs
        assert again._settings == fs._settings
        assert again.cat_file(made.manifest, 0, 9) == made.content[:9]
    lazily = pickle.loads(pickle.dumps(fsspec.open(f"regather://{made.manifest}", **options)))
    with lazily as file:
        assert file.read() == made.content
    with fs.open(made.manifest) as file, pickle.loads(pickle.dumps(file)) as again:
        assert (again.fs, again.path) == (fs, made.manifest)
        assert again.info() == fs.info(made.manifest)
        assert again.full_name == f"regather://{made.manifest}"


def test_a_file_system_after_a_fork(made: Made, served: list[str]) -> None:
    fs = fsspec.filesystem("regather", servers=served)
    with fs.open(made.manifest, cache_type="readahead") as file:
        assert file.read(10) == fs.cat_file(made.manifest, 0, 10)

        def child() -> None:
            assert file.read(10) == made.content[10:20]
            assert fs.cat(made.manifest) == made.content
            fresh = fsspec.filesystem("regather", servers=served)
            assert fresh is not fs
            assert fresh.cat_file(made.manifest, -9) == made.content[-9:]

        in_child(child)
