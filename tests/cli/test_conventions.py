"""What every command has in common: standard input and output, colour, rates."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

import regather as package
from regather.cli import main
from regather.cli.value_types import rate
from tests.support.files import random_file, regather


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    random_file(folder / "f", 200_000)
    package.split(folder / "f", folder / "out", servers=2)
    return folder


def piped(manifest: Path, *words: str | Path) -> subprocess.CompletedProcess[bytes]:
    """A command whose standard input is a pipe with the manifest."""
    return subprocess.run(
        [sys.executable, "-m", "regather", *map(str, words)],
        input=manifest.read_bytes(),
        capture_output=True,
        check=False,
        timeout=60,
    )


def test_a_manifest_from_standard_input(made: Path, tmp_path: Path) -> None:
    manifest, servers = (
        made / "out/f.regather.json",
        [f"--server={made}/out/server{n}" for n in (1, 2)],
    )
    assert piped(manifest, "info", "-").stdout == piped(manifest, "info", manifest).stdout
    told = piped(manifest, "get", "-", *servers, "-o", tmp_path / "copy")
    assert told.returncode == 0, told.stderr
    assert (tmp_path / "copy").read_bytes() == (made / "f").read_bytes()
    assert piped(manifest, "check", "-", *servers).returncode == 0
    assert piped(manifest, "repair", "-", *servers).returncode == 0
    alone = piped(manifest, "check", "-")
    assert (alone.returncode, alone.stdout) == (4, b"")


def test_a_manifest_from_a_file_as_standard_input(made: Path) -> None:
    with (made / "out/f.regather.json").open("rb") as file:
        told = subprocess.run(
            [sys.executable, "-m", "regather", "info", "-"],
            stdin=file,
            capture_output=True,
            check=False,
        )
    assert (told.returncode, told.stderr) == (0, b"")


def test_a_text_to_standard_output(tmp_path: Path) -> None:
    assert regather("generate", tmp_path / "text", "--size", "9MB").returncode == 0
    told = piped(tmp_path / "text", "generate", "-", "--size", "9MB")
    assert told.stdout == (tmp_path / "text").read_bytes()
    assert told.stderr == b""


def test_a_metalink_to_standard_output(made: Path, tmp_path: Path) -> None:
    words = (
        "metalink",
        made / "out/f.regather.json",
        "--file",
        made / "f",
        "--mirror",
        "http://a/f",
    )
    assert regather(*words, "-o", tmp_path / "x").returncode == 0
    told = regather(*words, "-o", "-")
    assert told.stdout == (tmp_path / "x").read_text()


@pytest.mark.parametrize("text", ["5MB", "5MB/s", "5000000", "5000KB/s"])
def test_rates_have_one_unit(text: str) -> None:
    assert rate(text) == 5_000_000


COLOURS = [
    ((), {}, True),
    ((), {"NO_COLOR": "1"}, False),
    (("--color", "never"), {}, False),
    (("--color=always",), {"NO_COLOR": "1"}, True),
    (("--color=auto",), {"NO_COLOR": "1"}, False),
]


@pytest.mark.parametrize(("words", "variables", "coloured"), COLOURS)
def test_colour(
    tmp_path: Path, words: tuple[str, ...], variables: dict[str, str], coloured: bool
) -> None:
    """On a terminal the bar of progress is cyan, unless somebody wants no colour."""
    master, slave = pty.openpty()
    environment = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "regather", "generate", tmp_path / "x", "--size", "2MB", *words],
        stdin=slave,
        stdout=subprocess.DEVNULL,
        stderr=slave,
        env={**environment, "TERM": "xterm", "COLUMNS": "120", **variables},
    )
    os.close(slave)
    shown = b""
    try:
        while data := os.read(master, 1 << 16):
            shown += data
    except OSError:  # its other end is closed
        pass
    os.close(master)
    assert process.wait(60) == 0
    assert b"writing x" in shown
    assert (b"\x1b[36m" in shown) is coloured


def test_a_colour_that_does_not_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["generate", "x", "--color", "pink"]) == 2
    assert "choose from" in capsys.readouterr().err
