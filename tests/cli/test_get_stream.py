"""``get -o -``: the file in order on standard output, and nothing else."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import pty
import shlex
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pytest

import regather
from regather.cli import standard_streams
from regather.cli.standard_streams import goes_to_output
from tests.support import forked
from tests.support.files import alone, random_file, without_progress
from tests.support.files import regather as run
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE
from tests.support.piping import Piped, piped
from tests.support.small import flip

SIZE = 20 << 20


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in three fragments, each on all of three servers, and one with parity."""
    folder = tmp_path_factory.mktemp("streamed")
    random_file(folder / "f.bin", SIZE)
    regather.split(folder / "f.bin", folder / "whole", fragments=3, servers=3, replicas=3)
    regather.split(folder / "f.bin", folder / "coded", fragments=3, parity=1, servers=4)
    return folder


@pytest.fixture
def spool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    (tmp_path / "spool").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "spool"))
    return tmp_path / "spool"


def asked(made: Path, kind: str, hosting: Hosting, *faults: str) -> list[str | Path]:
    """A command that streams, from servers of which the last have these faults, one each."""
    folders = sorted((made / kind).glob("server*"))
    sound = len(folders) - len(faults)
    urls = [
        hosting.serve(folder, faults=faults[n - sound : n - sound + 1] if n >= sound else ()).url
        for n, folder in enumerate(folders)
    ]
    manifest = alone(made / kind / "f.bin.regather.json")
    return ["get", manifest, *(w for url in urls for w in ("--server", url)), "-o", "-"]


@pytest.mark.parametrize(
    ("kind", "faults"),
    [
        ("whole", ()),
        ("whole", ("corrupt",)),
        ("whole", ("corrupt", "corrupt")),
        ("whole", ("stall", "refuse")),
        ("whole", ("reset@0.3", "error:503@0.5")),
        ("coded", ()),
        ("coded", ("corrupt",)),
        ("coded", ("refuse",)),
        ("coded", ("stall",)),
    ],
)
def test_the_bytes_are_those_of_the_file(
    made: Path, hosting: Hosting, kind: str, faults: tuple[str, ...]
) -> None:
    output, code, told = piped([*asked(made, kind, hosting, *faults), "--timeout", "5"])
    assert code == 0, told
    assert output == (made / "f.bin").read_bytes()
    assert "f.bin: 20.0 MiB" in told


def test_no_wrong_byte_leaves(made: Path, hosting: Hosting, tmp_path: Path) -> None:
    """What is in front of it does; the error is the same as to a file."""
    regather.split(made / "f.bin", tmp_path / "out", fragments=1)
    fragment = tmp_path / "out" / "file_fragment_1.dat"
    flip(fragment, 8 * (7 << 20) + 3)
    url = hosting.serve(tmp_path / "out").url
    manifest = alone(tmp_path / "out" / "f.bin.regather.json")
    output, code, told = piped(["get", manifest, "--server", url, "-o", "-", "--retries", "1"])
    assert code == 3
    assert output == (made / "f.bin").read_bytes()[: 7 << 20]
    assert "sent wrong data" in told
    assert "7.0 MiB of 20.0 MiB were passed on" in told


def test_who_reads_slowly_makes_it_wait(made: Path, hosting: Hosting) -> None:
    """Much longer than a source may be silent."""
    words = [*asked(made, "whole", hosting), "--timeout", "0.5", "--retries", "0", "--json"]
    expected = (made / "f.bin").read_bytes()
    with Piped(*words) as running:
        read = b""
        while len(read) < 3 << 20:
            read += running.read(1 << 20)
            time.sleep(1.2)
        read += running.rest()
        code, told = running.ended()
    assert code == 0
    assert read == expected
    report = json.loads(told.splitlines()[-1])
    assert [source["errors"] for source in report["sources"]] == [0, 0, 0]


@pytest.mark.parametrize("faults", [(), ("stall", "stall", "stall")], ids=["busy", "waiting"])
def test_a_reader_that_leaves(made: Path, hosting: Hosting, faults: tuple[str, ...]) -> None:
    with Piped(*asked(made, "whole", hosting, *faults)) as running:
        if not faults:
            assert running.read(1000) == (made / "f.bin").read_bytes()[:1000]
        running.output.close()
        assert running.ended() == (141, "")


def test_json_goes_to_standard_error(made: Path, hosting: Hosting) -> None:
    words = [*asked(made, "whole", hosting), "--json"]
    output, code, told = piped(words)
    assert (code, output) == (0, (made / "f.bin").read_bytes())
    report = json.loads(told.splitlines()[-1])
    assert (report["event"], report["path"], report["size"]) == ("done", "-", SIZE)
    for wrong in (["--bogus"], ["--connections", "0"], ["--digest", "0" * 64]):
        output, code, told = piped([*words, *wrong])
        assert output == b""
        assert json.loads(told.splitlines()[0])["event"] == "error"


@pytest.mark.parametrize(
    "words",
    ["-o -", "-o-", "-o=-", "-vo -", "-vo-", "-fvo-", "--output -", "--output=-"],
)
def test_all_ways_to_ask_for_it(made: Path, words: str) -> None:
    """However the option is written: the report is not among the bytes."""
    manifest = made / "whole" / "f.bin.regather.json"
    output, code, told = piped(["get", manifest, *words.split()])
    assert (code, output) == (0, (made / "f.bin").read_bytes())
    assert "f.bin: 20.0 MiB" in told


@pytest.mark.parametrize(
    "words",
    ["-o out", "-o out-", "-o=out", "-f -", "--output=out", "--no-sync -", "-v --", "-o ./-"],
)
def test_words_that_ask_for_a_file(words: str) -> None:
    assert not goes_to_output(["get", "m.json", *words.split()])


def test_a_folder_comes_as_tar(tmp_path: Path, hosting: Hosting) -> None:
    (tmp_path / "data" / "sub").mkdir(parents=True)
    random_file(tmp_path / "data" / "sub" / "a", 3 << 20)
    (tmp_path / "data" / "b").write_text("b\n")
    regather.split(tmp_path / "data", tmp_path / "out")
    url = hosting.serve(tmp_path / "out").url
    words = ["get", url + "data.regather.json", "-o", "-"]
    output, code, told = piped(words)
    assert code == 0, told
    with tarfile.open(fileobj=io.BytesIO(output), mode="r|") as tar:
        tar.extractall(tmp_path / "got", filter="data")
    for name in ("sub/a", "b"):
        assert (tmp_path / "got" / "data" / name).read_bytes() == (
            tmp_path / "data" / name
        ).read_bytes()
    _, code, told = piped([*words, "--select", "b"])
    assert (code, told.count("\n")) == (2, 1)


def test_what_is_refused(made: Path, hosting: Hosting, tmp_path: Path) -> None:
    url = hosting.serve(made).url
    whole = url + "f.bin"
    right = hashlib.sha256((made / "f.bin").read_bytes()).hexdigest()
    manifest = made / "whole" / "f.bin.regather.json"
    (tmp_path / "list").write_text(whole)
    for words, says in (
        (["-i", tmp_path / "list"], "-i cannot be used with -o -"),
        ([manifest, "--seed", made / "f.bin"], "--seed cannot be used with -o -"),
        ([manifest, "--dry-run"], "--dry-run cannot be used with -o -"),
        ([whole], "no hash to verify it with"),
        ([whole, "--spool", "1GB"], "no hash to verify it with"),
        ([whole, "--sha256", right], "verifies nothing before its end; give --spool 20.0MiB"),
        ([whole, "--sha256", right, "--spool", "1MB"], "give --spool 20.0MiB or more"),
        ([manifest, "--sha256", right], "or use --digest instead"),
        (["--fragment", url + "whole/server1/file_fragment_1.dat"], "no hash to verify it with"),
    ):
        output, code, told = piped(["get", *words, "-o", "-"])
        assert (code, output) == (2, b""), told
        assert told.count("\n") == 1
        assert says in told
    assert os.listdir(tmp_path) == ["list"]


def test_a_spool_is_for_a_stream(made: Path) -> None:
    manifest = made / "whole" / "f.bin.regather.json"
    done = run("get", manifest, "--spool", "1MB")
    assert (done.returncode, done.stdout) == (2, "")
    assert "--spool is for -o - only" in done.stderr


@pytest.mark.parametrize("faults", [(), ("refuse",), ("corrupt",)])
@pytest.mark.parametrize("size", ["3MiB", "1GiB"])
def test_servers_with_one_fragment_each_work_ahead(
    made: Path, hosting: Hosting, spool: Path, faults: tuple[str, ...], size: str
) -> None:
    """In the spool; also where pieces of its rows have to be computed."""
    words = [*asked(made, "coded", hosting, *faults), "--spool", size]
    with Piped(*words) as running:
        read = running.read(100)
        assert os.listdir(spool) == []  # it has no name
        read += running.rest()
        code, told = running.ended()
    assert (code, read) == (0, (made / "f.bin").read_bytes()), told
    assert os.listdir(spool) == []


def test_received_whole_first(made: Path, hosting: Hosting, spool: Path) -> None:
    """What only a checksum verifies; a mirror with another file costs nothing but time."""
    content = (made / "f.bin").read_bytes()
    right = hashlib.sha256(content).hexdigest()
    (made / "other").mkdir(exist_ok=True)
    (made / "other" / "f.bin").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    urls = [hosting.serve(folder).url + "f.bin" for folder in (made, made / "other")]
    manifest = made / "whole" / "f.bin.regather.json"
    how = ["--spool", "20MiB", "-o", "-", "--sha256"]
    for sources in (urls, [str(manifest)]):
        output, code, told = piped(["get", *sources, *how, right])
        assert (code, output) == (0, content), told
        assert "f.bin: 20.0 MiB" in told
    for sources in (urls, [str(manifest)]):
        output, code, told = piped(["get", *sources, *how, "0" * 64])
        assert (code, output) == (3, b""), told
        assert "/tmp" not in told
    assert os.listdir(spool) == []


def test_interrupted_while_it_is_received_whole(made: Path, hosting: Hosting, spool: Path) -> None:
    url = hosting.serve(made, faults=["slow:1MB"]).url + "f.bin"
    words = ["get", url, "--sha256", "0" * 64, "--spool", "20MiB", "-o", "-", "--json"]
    with Piped(*words) as running:
        assert running.told_of('"downloading"')
        running.command.send_signal(signal.SIGINT)
        assert running.rest() == b""
        code, told = running.ended()
    assert code == 130
    assert "the same command starts at the beginning" in told.splitlines()[-1]
    assert os.listdir(spool) == []


@pytest.mark.parametrize("tiny_disk", [10], indirect=True)
@pytest.mark.parametrize("checksum", [False, True])
def test_no_space_for_the_spool(
    made: Path, tiny_disk: Path, monkeypatch: pytest.MonkeyPatch, checksum: bool
) -> None:
    monkeypatch.setenv("TMPDIR", str(tiny_disk))
    words = ["get", str(made / "whole" / "f.bin.regather.json"), "-o", "-", "--spool", "1GB"]
    right = hashlib.sha256((made / "f.bin").read_bytes()).hexdigest()
    output, code, told = piped([*words, *(["--sha256", right] if checksum else [])])
    assert (code, output) == (1, b""), told
    assert told.startswith(f"regather: --spool in {tiny_disk}: not enough space for 20.0 MiB; ")
    assert told.count("\n") == 1
    assert os.listdir(tiny_disk) == []


def test_a_terminal_takes_no_file(made: Path) -> None:
    ours, theirs = pty.openpty()
    words = ["get", made / "whole" / "f.bin.regather.json", "-o", "-"]
    try:
        done = subprocess.run(
            [sys.executable, "-m", "regather", *map(str, words)],
            stdout=theirs,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == 2
    assert "standard output is a terminal" in done.stderr


def test_a_closed_output(made: Path) -> None:
    manifest = made / "whole" / "f.bin.regather.json"
    words = [sys.executable, "-m", "regather", "get", str(manifest), "-o", "-"]
    done = subprocess.run(
        ["sh", "-c", f"{shlex.join(words)} >&-"],
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith("regather: standard output is closed; ")


def test_a_reader_on_a_socket_that_leaves(made: Path, hosting: Hosting) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, tempfile.TemporaryFile() as told, open(os.devnull) as null:
        command = forked.Command(
            [*map(str, asked(made, "whole", hosting))],
            stdin=null.fileno(),
            stdout=theirs.fileno(),
            stderr=told.fileno(),
        )
        theirs.close()
        assert len(ours.recv(1000, socket.MSG_WAITALL)) == 1000
        ours.close()
        assert command.wait(PATIENCE) == 141
        assert without_progress(os.pread(told.fileno(), 1000, 0).decode()) == ""


def test_output_that_cannot_be_written(made: Path) -> None:
    words = ["get", made / "whole" / "f.bin.regather.json", "-o", "-"]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "regather", *map(str, words)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("regather: cannot write to standard output: no space left")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(made: Path, hosting: Hosting, number: int) -> None:
    with Piped(*asked(made, "whole", hosting)) as running:
        assert running.read(1)
        running.command.send_signal(number)
        code, told = running.ended()
    assert code == 130
    assert told.count("\n") == 1
    assert told.startswith("regather: interrupted: ")


def test_a_file_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    regather.split(tmp_path / "empty", tmp_path / "out")
    output, code, told = piped(["get", tmp_path / "out" / "empty.regather.json", "-o", "-"])
    assert (code, output) == (0, b""), told


def test_a_standard_stream_on_a_disk_that_fails_is_not_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fstat = os.fstat

    def fails(number: int) -> os.stat_result:
        if number > 2:
            return fstat(number)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    before = set(standard_streams.closed)
    monkeypatch.setattr(os, "fstat", fails)
    standard_streams.open_all()
    assert standard_streams.closed == before
