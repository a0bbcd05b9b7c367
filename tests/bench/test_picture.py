"""The picture of the README is of what was measured."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from bench.picture import KILLS, SERVERS, Run, Sample, draw, level, measure, rates


def test_a_real_run_loses_its_servers_and_is_drawn(tmp_path: Path) -> None:
    run = measure(tmp_path, 24_000_000, 8_000_000)
    assert [server for server, _ in run.killed] == [server for server, _ in KILLS]
    assert all(0 < moment < run.seconds for _, moment in run.killed)
    assert run.samples[-1].done == run.size
    assert run.rows > 0
    drawn = draw(run, "Measured now.")
    ElementTree.fromstring(drawn)
    for server, moment in run.killed:
        assert f"server {server + 1}<" in drawn
        assert f"killed at {moment:.1f} s" in drawn


def test_rates_are_those_of_the_samples() -> None:
    others = (0,) * (SERVERS - 1)
    samples = (Sample(1.0, 100, (100, *others)), Sample(2.0, 100, (100, *others)))
    run = Run(100, 100, 2.0, 0, samples, ())
    first, *rest = rates(run, 4)
    assert first == pytest.approx([100.0, 100.0, 0.0, 0.0])
    assert all(rate == 0 for row in rest for rate in row)


def test_a_level_is_on_the_line_between_two_samples() -> None:
    points = [(1.0, 10), (3.0, 30)]
    assert [level(points, at) for at in (0.0, 0.5, 1.0, 2.0, 9.0)] == [0, 5, 10, 20, 30]


def test_the_layout_does_not_depend_on_the_run() -> None:
    """Text and lanes stand where they stood; only curves, marks and figures differ."""

    def bare(run: Run) -> str:
        return re.sub(r"[\d.]+", "N", re.sub(r'<path class="(?!lane).*', "", draw(run, "")))

    still = tuple(Sample(at, 50 * at, (10 * at,) * SERVERS) for at in (1, 2))
    moved = tuple(Sample(at, 25 * at, (30 * at,) * SERVERS) for at in (1, 2, 3, 4))
    killed = ((1, 0.5), (2, 1.0))
    assert bare(Run(100, 10, 2.0, 3, still, killed)) == bare(Run(100, 10, 4.0, 9, moved, killed))
