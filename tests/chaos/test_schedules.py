"""Some schedules of the chaos suite in every run of the tests; `make chaos` runs thousands."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.chaos.many import replay, run_many, tell
from tests.chaos.run import Result

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
COUNT = 40
BEGIN_SECONDS = 120
"""On a slow machine fewer are run: those that have begun by then."""


@pytest.mark.timeout(300)
def test_schedules() -> None:
    """What fails tells how to run it again."""
    summary = run_many(range(COUNT), seconds=BEGIN_SECONDS)
    assert not summary.failed, "\n" + "\n".join(map(tell, summary.failed))
    assert summary.schedules >= 10
    assert sum(summary.bound.values()) >= summary.schedules // 4
    assert sum(summary.struck.values()) >= summary.schedules


def test_replay() -> None:
    command = [sys.executable, "-m", "tests.chaos", "--seed", "0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seed 0: FilePlan(" in done.stdout
    assert "attempt 0" in done.stdout


def test_a_flaw_is_told_with_the_command_that_repeats_it() -> None:
    told = tell(Result(7, flaws=["attempt 0: wrong bytes"]))
    assert "FLAW attempt 0: wrong bytes" in told
    assert replay(7) in told
    assert replay(7).endswith("-m tests.chaos --seed 7")
