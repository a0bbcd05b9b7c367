"""Names that the character set of the locale lacks: files get them all the same, in UTF-8."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote

import pytest

import regather
from tests.support.files import regather as run
from tests.support.mirrors import mirror

ASCII = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
NAME = "ф и.bin"


@pytest.mark.parametrize("options", [(), ("--json",), ("-q",)])
def test_a_file(tmp_path: Path, options: tuple[str, ...]) -> None:
    with mirror(b"bytes") as one:
        words = ("get", one.url + quote(NAME), *options)
        told = run(*words, cwd=tmp_path, environment=ASCII)
        assert (told.returncode, os.listdir(tmp_path)) == (0, [NAME]), told.stderr
        again = run(*words, cwd=tmp_path, environment=ASCII)
    assert again.returncode == 6
    assert "Traceback" not in again.stderr


def test_a_folder(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / NAME).mkdir(parents=True)
    (tree / NAME / NAME).write_bytes(b"bytes")
    (tree / "link").symlink_to(NAME)
    regather.split(tree, tmp_path / "out")
    words = ("get", tmp_path / "out" / "tree.regather.json", "-o", tmp_path / "dest")
    for _ in range(2):
        told = run(*words, environment=ASCII)
        assert told.returncode == 0, told.stderr
    assert (tmp_path / "dest" / NAME / NAME).read_bytes() == b"bytes"
    assert os.readlink(tmp_path / "dest" / "link") == NAME
    for command in (("info", "--files"), ("check",)):
        told = run(*command, words[1], environment=ASCII)
        assert told.returncode == 0, told.stderr


def test_a_destination_that_cannot_be_reached(tmp_path: Path) -> None:
    """A link into a folder that may not be searched is one line, too."""
    (tmp_path / "f").write_bytes(b"bytes" * 1000)
    regather.split(tmp_path / "f", tmp_path / "out")
    (tmp_path / "loop").symlink_to("loop")
    words = ("get", tmp_path / "out" / "f.regather.json", "-o", tmp_path / "loop", "--force")
    told = run(*words)
    assert (told.returncode, len(told.stderr.splitlines())) == (2, 1)
