"""The six plain scripts, run as processes: in their order, without and with arguments."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.support.net import PATIENCE, free_port

SCRIPTS = Path(__file__).parents[2] / "examples" / "classic"
HOST = "127.0.0.1"


def run(script: Path, *arguments: object, ok: bool = True) -> str:
    """What a script printed, or what it said of its failure, which must be one line."""
    done = subprocess.run(
        [sys.executable, script.name, *map(str, arguments)],
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert (done.returncode == 0) is ok, done.stderr
    if not ok:
        assert done.stderr.count("\n") == 1
    return done.stdout if ok else done.stderr


@contextmanager
def started(script: Path, *arguments: object) -> Iterator[None]:
    """A server, from now until the end of the block; it must end in order."""
    process = subprocess.Popen(
        [sys.executable, script.name, *map(str, arguments)], cwd=script.parent
    )
    try:
        yield
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()


def free_ports() -> str:
    """All but the last digit of ports that end in 1, 2 and 3 and are free."""
    while True:
        prefix = str(free_port())[:-1]
        try:
            with ExitStack() as stack:
                for n in (1, 2, 3):
                    stack.enter_context(socket.create_server((HOST, int(f"{prefix}{n}"))))
                return prefix
        except OSError:
            continue


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder with the scripts, by ports of this test: theirs may be in use."""
    prefix = free_ports()
    for path in SCRIPTS.glob("*.py"):
        text = path.read_text("utf-8")
        assert len(text.splitlines()) <= 20
        (tmp_path / path.name).write_text(text.replace("900", prefix), "utf-8")
    return tmp_path


def test_without_arguments(scripts: Path) -> None:
    run(scripts / "large_file_creater.py")
    run(scripts / "split_file.py")
    with ExitStack() as stack:
        for n in (1, 2, 3):
            stack.enter_context(started(scripts / f"server{n}.py"))
        told = run(scripts / "client.py")
    assert len(list(scripts.glob("fragments/file_fragment_*.dat"))) == 3
    assert re.findall(r": (\d+) bytes used", told) == ["33333334", "33333333", "33333333"]
    large = (scripts / "large_file.txt").read_bytes()
    assert len(large) == 100_000_000
    assert (scripts / "recombined_large_file.dat").read_bytes() == large


def test_with_arguments_and_servers_that_fail_at_random(scripts: Path) -> None:
    run(scripts / "large_file_creater.py", "other.txt", 20)
    run(scripts / "split_file.py", "other.txt", 6_000_000)
    assert len(list(scripts.glob("fragments/file_fragment_*.dat"))) == 4
    places = []
    with ExitStack() as stack:
        for n in (1, 2, 3, 4):
            port, name = free_port(), f"file_fragment_{n}.dat"
            places.append(f"{HOST}:{port}/{name}")
            server = scripts / f"server{1 + n % 3}.py"
            fails = ("--fail-at-random", n) if n > 1 else ()
            stack.enter_context(started(server, f"fragments/{name}", port, *fails))
        options = ("--manifest", "other.txt.regather.json", "--output-file", "copy.txt")
        told = run(scripts / "client.py", *places, *options)
    assert (scripts / "copy.txt").read_bytes() == (scripts / "other.txt").read_bytes()
    assert sum(map(int, re.findall(r"(\d+) errors", told))) > 0


def test_what_cannot_be_done_is_told_in_one_line(scripts: Path) -> None:
    assert "no such file" in run(scripts / "split_file.py", "none.txt", ok=False)
    assert "no such file" in run(scripts / "server3.py", "none.dat", ok=False)
    assert "no such file" in run(scripts / "client.py", "--manifest", "none.json", ok=False)
    assert "is a folder" in run(scripts / "large_file_creater.py", ".", ok=False)
