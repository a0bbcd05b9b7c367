"""With --json a failure is one JSON document on standard output, and a line on standard error."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import regather
from tests.support.files import random_file
from tests.support.files import regather as run
from tests.support.net import PATIENCE, free_port, wait_until
from tests.support.rogue import Rogue


@pytest.fixture
def made(tmp_path: Path) -> Path:
    random_file(tmp_path / "file.bin", 5000)
    regather.split(tmp_path / "file.bin", tmp_path / "out", fragments=3)
    return tmp_path


def failure(*arguments: str | Path) -> dict[str, Any]:
    """Run a command that must fail; return the document that it ends with."""
    told = run(*arguments, "--json")
    lines = told.stdout.splitlines()
    found: dict[str, Any] = json.loads(lines[-1])
    assert all(json.loads(line)["event"] == "progress" for line in lines[:-1])
    assert set(found) == {
        "event", "error", "message", "help", "details", "missing", "exit_code",
    }  # fmt: skip
    assert found["event"] == "error"
    assert found["exit_code"] == told.returncode != 0
    assert issubclass(getattr(regather, found["error"]), regather.RegatherError)
    assert found["message"] in told.stderr
    assert "Traceback" not in told.stderr
    return found


def test_every_command(made: Path) -> None:
    none = made / "none"
    for arguments in (
        ("generate", made),
        ("split", none, "--out", made / "o"),
        ("serve", none),
        ("cluster", none),
        ("info", none),
        ("get", none),
        ("generate", none, "--size", "12XB"),
        ("get", none, "--frobnicate"),
        ("frobnicate",),
        ("demo", "--rate", "?"),
    ):
        found = failure(*arguments)
        assert (found["error"], found["exit_code"]) == ("UsageError", 2)
        assert found["help"] or found["message"]


def test_kinds(made: Path) -> None:
    manifest = made / "out" / "file.bin.regather.json"
    (made / "other").write_bytes(b"other")
    assert failure("get", manifest, "-o", made / "other")["error"] == "DestinationExistsError"
    url = f"http://127.0.0.1:{free_port()}/x.regather.json"
    assert failure("get", url)["error"] == "TransportError"
    pinned = ("--digest", "0" * 64, "-o", made / "x")
    assert failure("get", manifest, *pinned)["error"] == "VerificationError"
    assert failure("get", manifest, *pinned, "--quiet")["exit_code"] == 3
    manifest.write_bytes(manifest.read_bytes()[:-50])
    assert failure("get", manifest)["error"] == "ManifestError"


def test_what_is_missing(made: Path) -> None:
    (made / "out" / "file_fragment_2.dat").unlink()
    found = failure("get", made / "out" / "file.bin.regather.json", "-o", made / "x")
    assert found["error"] == "NotEnoughSourcesError"
    assert found["exit_code"] == 4
    assert found["missing"] == ["file_fragment_2.dat"]
    assert found["details"] == [f"{made / 'out'}/: No such file or directory (file_fragment_2.dat)"]


def test_interrupted(tmp_path: Path) -> None:
    def silent(head: bytes, connection: socket.socket) -> None:
        connection.recv(1)

    with Rogue(silent) as rogue:
        client = subprocess.Popen(
            [sys.executable, "-m", "regather", "get", rogue.url + "f.regather.json", "--json"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: bool(rogue.requests), timeout=PATIENCE)
        time.sleep(0.1)
        client.send_signal(signal.SIGINT)
        out, errors = client.communicate(timeout=PATIENCE)
    assert client.returncode == 130
    assert json.loads(out.splitlines()[-1])["error"] == "InterruptedDownload"
    assert len(errors.splitlines()) == 1


def test_a_reader_that_has_gone(made: Path) -> None:
    told = subprocess.run(
        f"{sys.executable} -m regather get {made / 'none'} --json | true; exit ${{PIPESTATUS[0]}}",
        shell=True,
        executable="/bin/bash",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert told.returncode in (1, 2)
    assert "Traceback" not in told.stderr
    assert "Exception" not in told.stderr


def test_without_json_nothing_is_on_standard_output(made: Path) -> None:
    told = run("get", made / "none")
    assert told.stdout == ""
    assert len(told.stderr.splitlines()) == 1
