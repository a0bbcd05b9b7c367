"""Errors make sense to those who use the command line, and to those who use Python."""

from __future__ import annotations

import ast
import errno
import inspect
import os
import pickle
import re
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

import regather
from regather.errors import IN_PYTHON, RegatherError, advice, of_system, unusable
from regather.transport import Failure, RequestFailed
from tests.support.files import random_file
from tests.support.files import regather as run

SOURCES = Path(regather.__file__).parent
OF_COMMANDS_ALONE = {
    "--files",
    "--profile",
    "--format",
    "--max-upload",
    "--no-names",
}
"""Options in answers of the server, of commands without a function, and of others' commands."""


def spoken_of() -> set[str]:
    """The options in texts of the library; the command line and the cluster are not in it."""
    found: set[str] = set()
    for path in SOURCES.rglob("*.py"):
        if path.relative_to(SOURCES).parts[0] in ("cli", "cluster.py", "demo.py"):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", node.value))
    return found - OF_COMMANDS_ALONE


def test_every_option_has_a_name_in_python() -> None:
    assert spoken_of() - set(IN_PYTHON) == set()


def test_the_names_are_those_of_parameters() -> None:
    known = {
        name
        for function in (
            *(regather.download, regather.split, regather.publish, regather.check),
            *(regather.repair, regather.export_metalink, regather.generate, regather.serve),
            regather.stream,
        )
        for name in inspect.signature(function).parameters
    }
    for kind in (regather.Settings, regather.HostOptions):
        known |= {f"{kind.__name__}.{name}" for name in kind.__struct_fields__}
    assert set(IN_PYTHON.values()) <= known


def test_an_error_of_the_library_names_both(tmp_path: Path) -> None:
    file = random_file(tmp_path / "f", 1000)
    regather.split(file, tmp_path / "o")
    with pytest.raises(regather.DestinationExistsError) as caught:
        regather.split(file, tmp_path / "o")
    assert str(caught.value).endswith("use --force to replace them (in Python: out, force)")
    told = run("split", file, "--out", tmp_path / "o")
    assert told.stderr.endswith("use --force to replace them\n")
    with pytest.raises(regather.UsageError) as refused:
        regather.split(file, tmp_path / "x", replicas=2)
    assert str(refused.value) == "replicas need servers; add --servers N (in Python: servers)"
    with pytest.raises(regather.UsageError) as plain:
        regather.split(tmp_path / "none", tmp_path / "x")
    assert "in Python" not in str(plain.value)
    with pytest.raises(regather.DestinationExistsError) as there:
        regather.download(tmp_path / "o" / "f.regather.json", random_file(tmp_path / "g", 9))
    assert str(there.value).endswith("another name with -o (in Python: force, dest)")


@pytest.mark.parametrize(
    ("number", "says"),
    [
        (errno.EIO, "check it (dmesg)"),
        (errno.EEXIST, "choose another one"),
        (errno.EISDIR, "give the name of a file"),
        (errno.ENOTDIR, "a part of the path is a file"),
        (errno.ENAMETOOLONG, "check the path"),
        (errno.EACCES, "check its permissions"),
    ],
)
def test_what_the_system_refuses_has_a_next_step(number: int, says: str) -> None:
    error = OSError(number, os.strerror(number))
    assert says in advice(error)
    assert says in unusable("f", "a list", error).help
    assert says in of_system(error, "f").help


def test_the_next_step_where_no_path_is_known_or_the_system_is_not_at_fault() -> None:
    assert of_system(OSError(errno.EACCES, "x")).help == ""
    assert "check it (dmesg)" in of_system(OSError(errno.EIO, "x")).help
    assert "permissions" in advice(ValueError("embedded null byte"))


@pytest.mark.parametrize(
    "kind", [*(getattr(regather.errors, name) for name in regather.errors.__all__), RequestFailed]
)
def test_they_come_through_from_other_processes(kind: type[RegatherError]) -> None:
    """A pool hangs where the error of a worker cannot be unpickled."""
    error: RegatherError
    if kind is RequestFailed:
        error = RequestFailed(Failure.BUSY, "busy", retry_after=5.0, status=503)
    else:
        error = kind("use --out", help="or --force", details=("a", "b"))
    error.missing = ("c",)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind
    assert again.__dict__ == error.__dict__
    assert (str(again), again.args) == (str(error), error.args)
    assert again.as_dict() == error.as_dict()
    shown = "".join(traceback.format_exception_only(again))
    assert shown.splitlines()[1:] == list(error.details)


def test_a_current_folder_that_was_removed(tmp_path: Path) -> None:
    random_file(tmp_path / "file.bin", 1000)
    run("split", tmp_path / "file.bin", "--out", tmp_path / "out")
    (gone := tmp_path / "gone").mkdir()
    command = f"{sys.executable} -m regather get {tmp_path}/out/file.bin.regather.json"
    told = subprocess.run(
        ["sh", "-c", f"rmdir {gone} && {command}"],
        cwd=gone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 2
    assert "the current folder does not exist any more; change to another" in told.stderr
