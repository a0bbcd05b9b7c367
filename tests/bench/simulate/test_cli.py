"""``python -m bench.simulate``: table, JSON, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bench.simulate.cli import SCENARIOS, main

from bench import compiled

GOOD = """
title = "two sources"
[file]
size = "16MiB"
[[source]]
count = 2
bandwidth = "4MB"
rtt = [0.01, 0.05]
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "two.toml"
    path.write_text(GOOD)
    return path


def test_a_table(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenario", str(good), "--seeds", "3"]) == 0
    out, err = capsys.readouterr()
    head, row = out.splitlines()
    assert head.startswith("scenario")
    assert row.split()[:2] == ["two", "3"]
    assert err == f"two: 3 runs\nplanner: {compiled.how()}\n"


def test_json(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenario", str(good), "--seeds", "2", "--seed", "5", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out)
    assert [run["seed"] for run in result["runs"]] == [5, 6]
    assert all(run["ratio"] == run["makespan"] / run["limit"] >= 1 for run in result["runs"])
    assert result["bounds"] == {"makespan": 1.05, "in vain": 0.02, "tail": 0.07}


def test_check_tells_a_bound_that_is_missed(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good.write_text(GOOD + "[bounds]\nmakespan = 1.0001\nin-vain = 1\ntail = 1\n")
    assert main(["--scenario", str(good), "--seeds", "1"]) == 0
    assert main(["--scenario", str(good), "--seeds", "1", "--check"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("missed: makespan")
    good.write_text(GOOD + "[bounds]\nmakespan = 2\nin-vain = 1\ntail = 1\n")
    assert main(["--scenario", str(good), "--seeds", "1", "--check"]) == 0


def test_a_run_that_gives_up_is_not_kept(good: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dead = GOOD.replace("count = 2", "outages = [{ at = 0.5, until = 9000 }]")
    good.write_text(dead)
    assert main(["--scenario", str(good), "--seeds", "1", "--check"]) == 1
    assert "gave up" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (GOOD + "colour = 1\n", "colour"),
        (GOOD + "outages = [{ at = 0.5 }]\n", "cannot be had with seed 0"),
        ("\0", "two.toml"),
    ],
)
def test_bad_input_is_one_line(
    good: Path, capsys: pytest.CaptureFixture[str], text: str, told: str
) -> None:
    good.write_text(text)
    assert main(["--scenario", str(good)]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(f"simulate: {good}: ")
    assert told in err
    assert err.count("\n") == 1


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--scenario", "nowhere.toml"]) == 2
    assert capsys.readouterr().err.startswith("simulate: nowhere.toml: no such file")


@pytest.mark.impure
def test_a_scenario_of_the_project_by_name() -> None:
    run = subprocess.run(
        [sys.executable, "-m", "bench.simulate", "--scenario", "limited", "--seeds", "1"],
        cwd=SCENARIOS.parent.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.splitlines()[1].startswith("limited")
