"""Many downloads at the same time: a stop ends them all, and the same command goes on."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from regather.downloader.batch import Outcome, worst
from regather.errors import (
    DestinationExistsError,
    InterruptedDownload,
    NotEnoughSourcesError,
    RegatherError,
    UsageError,
    VerificationError,
)
from tests.support.files import leftovers
from tests.support.files import regather as run
from tests.support.mirrors import mirror
from tests.support.net import wait_until

CONTENT = bytes(range(256)) * (4 * 4096)


def test_interrupted_and_gone_on_with(tmp_path: Path) -> None:
    with mirror(CONTENT) as one:
        names = [f"f{n}" for n in range(5)]
        (tmp_path / "list").write_text("".join(f"{one.url}{name}\n" for name in names))
        command = ["get", "-i", "list", "-j", "2"]
        process = subprocess.Popen(
            [sys.executable, "-m", "regather", *command, "--limit-rate", "4MB", "-q"],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
        )
        try:
            wait_until(lambda: any((tmp_path / name).exists() for name in names), timeout=60)
            process.send_signal(signal.SIGINT)
            _, told = process.communicate(timeout=60)
        finally:
            process.kill()
        assert process.returncode == 130
        assert b"Traceback" not in told
        assert not all((tmp_path / name).exists() for name in names)
        result = run(*command, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert "there already" in result.stdout
    assert all((tmp_path / name).read_bytes() == CONTENT for name in names)
    assert leftovers(tmp_path) == []


def test_the_worst_exit_code() -> None:
    def ended(*errors: type[RegatherError]) -> int:
        return worst([Outcome("x", error=e("x")) for e in errors] + [Outcome("y")])

    assert ended() == 0
    assert ended(NotEnoughSourcesError) == 4
    assert ended(NotEnoughSourcesError, RegatherError) == 1
    assert ended(RegatherError, UsageError, NotEnoughSourcesError) == 2
    assert ended(DestinationExistsError, NotEnoughSourcesError, RegatherError) == 6
    assert ended(UsageError, VerificationError) == 3
    assert ended(VerificationError, InterruptedDownload, UsageError) == 130


def test_two_files_of_one_name_are_not_taken_for_one(tmp_path: Path) -> None:
    with mirror(b"one") as one, mirror(b"two") as two:
        (tmp_path / "list").write_text(f"{one.url}x\n{two.url}x\n")
        result = run("get", "-i", "list", "-j", "1", cwd=tmp_path)
    assert result.returncode == 6
    assert "already exists" in result.stderr
    assert "1 of 2 files" in result.stdout


def test_two_files_of_one_name_do_not_replace_each_other(tmp_path: Path) -> None:
    """``--force`` is for what was there before."""
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(b"old")
    with mirror(CONTENT) as one, mirror(CONTENT[::-1]) as two:
        (tmp_path / "list").write_text(f"{one.url}f\n{two.url}f\n{two.url}f\n out=g\n")
        result = run("get", "-i", "list", "-o", "d", "-j", "1", "--force", cwd=tmp_path)
        assert result.returncode == 6, result.stderr
        assert result.stderr.count("several downloads would write this file") == 1
        assert (tmp_path / "d" / "f").read_bytes() == CONTENT
        assert (tmp_path / "d" / "g").read_bytes() == CONTENT[::-1]
