"""A sample of the points; ``make torture`` takes all of them."""

from __future__ import annotations

import errno
import random
from pathlib import Path

import pytest

from tests.torture.harness import Outcome, points, recorded, tried
from tests.torture.recorder import KILL, SHORT, Point, Recorder
from tests.torture.works import CommandWork, works

SAMPLE = 1
"""Points of each command."""
_BYTES = 10_000


def test_whatever_call_fails_the_same_command_goes_on(recorder: Recorder, tmp_path: Path) -> None:
    flaws: list[str] = []
    with works(tmp_path, recorder) as all_works:
        for work in all_works:
            flaw, calls = recorded(work, recorder, tmp_path / "run")
            assert not flaw, work.name
            for point in random.Random(work.name).sample(list(points(calls)), SAMPLE):
                flaw = tried(work, recorder, tmp_path / "run", point)[1]
                flaws += [f"{work.name}: {point}: {flaw}"] if flaw else []
    assert flaws == []


def _generate() -> CommandWork:
    def wrong(folder: Path, outcome: Outcome) -> str:
        path = folder / "d" / "x"
        return "" if outcome.code or path.stat().st_size == _BYTES else "not the file"

    return CommandWork(
        "generate",
        ["x"],
        lambda folder: ["generate", str(folder / "d" / "x"), "--size", str(_BYTES)],
        wrong,
        refuses=True,
    )


@pytest.mark.parametrize(
    ("action", "code"),
    [(errno.ENOSPC, 1), (errno.EIO, 1), (SHORT, 0), (KILL, -9)],
)
def test_a_call_fails_as_it_is_told_to(
    recorder: Recorder, tmp_path: Path, action: int, code: int
) -> None:
    work = _generate()
    flaw, calls = recorded(work, recorder, tmp_path)
    assert not flaw
    call = next(c for c in calls if c.name in ("write", "pwrite") and "/d/" in c.target)
    assert len(call.data) == call.result > 0
    (tmp_path / "d" / "x").unlink()
    outcome = work.run(recorder, tmp_path, Point(call.name, call.key, 1, action))
    assert (outcome.code, recorder.fired) == (code, True)
    assert outcome.errors.startswith("regather: ") == (code == 1)
    assert not work.wrong(tmp_path, outcome)


def test_a_point_that_is_not_reached_is_not_counted(recorder: Recorder, tmp_path: Path) -> None:
    nowhere = Point("fsync", "/no/such/file", 1, errno.EIO)
    assert tried(_generate(), recorder, tmp_path, nowhere) == (False, "")


def test_a_flaw_is_found(recorder: Recorder, tmp_path: Path) -> None:
    """A command that leaves something, or does not make something."""
    work = _generate()
    point = next(points(recorded(work, recorder, tmp_path)[1]))
    work.final = frozenset(("y",))
    reached, flaw = tried(work, recorder, tmp_path, point)
    assert reached
    assert "other names: ['x']" in flaw
