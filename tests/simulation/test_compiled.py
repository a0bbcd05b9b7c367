"""The compiled planner decides what the plain one does: the same source, run in two ways."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import regather
from bench import compiled

ROOT = Path(__file__).parents[2]
SCENARIOS = ("death-50", "erasure-slow", "flaky", "silence")


def simulated(where: Path) -> tuple[str, Any]:
    """Which planner ran from a folder, and all that it came to, save how long it took."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(where), str(ROOT)])}
    command = [sys.executable, "-m", "bench.simulate", "--json", "--scenario", *SCENARIOS]
    ran = subprocess.run(
        command, env=environment, cwd=where, capture_output=True, text=True, check=True
    )
    which = ran.stderr.splitlines()[-1].removeprefix("planner: ")
    return which, without_times(json.loads(ran.stdout))


def without_times(found: Any) -> Any:
    if isinstance(found, dict):
        return {
            key: without_times(value)
            for key, value in found.items()
            if not key.endswith("_seconds")
        }
    return [without_times(value) for value in found] if isinstance(found, list) else found


@pytest.mark.impure
def test_compiled_and_plain_planners_come_to_the_same(tmp_path: Path) -> None:
    package = Path(regather.__file__).parent
    shutil.copytree(package, tmp_path / "regather", ignore=shutil.ignore_patterns("*.so", "*.pyd"))
    plain, expected = simulated(tmp_path)
    assert plain == "plain Python"
    which, found = simulated(package.parent)
    if os.environ.get("CI"):
        assert which == "compiled"
    assert found == expected


def test_a_source_that_changed_after_it_was_compiled_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, made = tmp_path / "core.py", tmp_path / "core.abi3.so"
    source.touch()
    monkeypatch.setattr(compiled, "FOLDER", tmp_path)
    monkeypatch.setattr(compiled, "EXTENSION_SUFFIXES", [".abi3.so"])
    assert (compiled.how(), compiled.outdated()) == ("plain Python", [])
    made.touch()
    os.utime(source, (1000, 1000))
    assert (compiled.how(), compiled.outdated()) == ("compiled", [])
    os.utime(made, (999, 999))
    assert compiled.outdated() == ["core.py"]
    assert compiled.how() == "compiled from an older source"
