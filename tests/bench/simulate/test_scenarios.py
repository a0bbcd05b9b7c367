"""Scenario files: read strictly, and those of the project run."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.simulate.cli import SCENARIOS
from bench.simulate.runs import run_all, run_once
from bench.simulate.scenario import Scenario, fragment_count, load, parse
from msgspec.structs import replace

from regather.errors import UsageError

ALL = sorted(SCENARIOS.glob("*.toml"))
SMALL = "title = 'x'\n[file]\nsize = '8MiB'\n"
SURE = ("homogeneous", "slow", "death-10", "death-50", "death-90", "silence", "corrupt", "erasure")


def small(scenario: Scenario) -> Scenario:
    """The same with less to fetch, of fewer sources."""
    sources = tuple(
        replace(s, count=min(s.count, 20), holds=max(s.holds, 0.5))
        if isinstance(s.holds, float)
        else replace(s, count=min(s.count, 20))
        for s in scenario.source
    )
    return replace(scenario, file=replace(scenario.file, size="96MiB"), source=sources)


def test_there_are_scenarios_enough() -> None:
    assert len(ALL) >= 12
    assert {load(path).kind for path in ALL} == {"steady", "failing"}


@pytest.mark.parametrize("path", ALL, ids=lambda path: path.stem)
def test_a_small_version_runs_to_its_end_and_not_faster_than_it_can(path: Path) -> None:
    run = run_once(small(load(path)), 1, path.name)
    assert not run.problem
    assert run.makespan >= run.limit * (1 - 1e-6)
    assert run.in_vain >= -1e-9
    assert run.requests > 0
    assert run.decisions > run.requests


@pytest.mark.parametrize("name", SURE)
def test_the_planner_keeps_the_bounds(name: str) -> None:
    path = SCENARIOS / f"{name}.toml"
    result = run_all(load(path), path, range(2))
    assert len(result.runs) == 2
    assert result.kept, result.figures


def test_the_same_seed_runs_the_same_way() -> None:
    scenario = small(load(SCENARIOS / "flaky.toml"))
    first, again, other = (run_once(scenario, seed, "flaky") for seed in (3, 3, 4))
    assert (first.makespan, first.requests) == (again.makespan, again.requests)
    assert first.makespan != other.makespan


def test_an_outage_at_a_share_happens_at_that_share_of_the_ideal_time() -> None:
    text = "[[source]]\nbandwidth = '1MB'\nrtt = 0\n"
    half = parse(SMALL + text * 2 + "outages = [{ at = '50%' }]\n", "x")
    run = run_once(half, 0, "x")
    # 8 MiB at 2 MB/s take 4.19 s; half of that, and then the other half from one.
    assert run.limit == pytest.approx(1.5 * 8 * 1.048576 / 2, rel=1e-4)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("nonsense", "key/value pair"),
        ("size = 1", "unknown field `size`"),
        ("title = 'x'", "missing required field `file`"),
        (SMALL, "source"),
        (SMALL + "colour = 'red'\n[[source]]\nbandwidth = '1MB'", "colour"),
        (SMALL + "[[source]]\nbandwith = '1MB'", "bandwi"),
        (SMALL + "[[source]]\nbandwidth = 'fast'", "source 1: not a size"),
        (SMALL + "[[source]]\nbandwidth = 0", "more than 0"),
        (SMALL + "[[source]]\nbandwidth = 1\nbottleneck = 'no'", "no bottleneck 'no'"),
        (SMALL + "[[source]]\nbandwidth = 1\nholds = [9]", "fragment must be from 1 to 8"),
        (SMALL + "[[source]]\nbandwidth = 1\nholds = 1.5", "holds must be from 0 to 1"),
        (SMALL + "[[source]]\nbandwidth = 1\nrtt = -1", "rtt must be"),
        (SMALL + "[[source]]\nbandwidth = 1\ncorrupt = 2", "corrupt"),
        (SMALL + "[[source]]\nbandwidth = 1\noutages = [{at = 'x'}]", "not a time: 'x'"),
        (SMALL + "[[source]]\nbandwidth = 1\noutages = [{at = 2, until = 1}]", "ends after"),
        (SMALL + "[[source]]\nbandwidth = 1\noutages = [{at = 2}, {at = 3}]", "in order"),
        (SMALL + "replicas = 2\n[[source]]\nbandwidth = 1", "2 replicas on 1 source"),
        (SMALL + "set-size = 2\n[[source]]\nbandwidth = 1", "needs parity"),
    ],
)
def test_a_mistake_is_named(text: str, told: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(text, "some.toml")
    assert caught.value.what.startswith("some.toml: ")
    assert told in caught.value.what
    assert "\n" not in str(caught.value)


def test_parity_counts_as_fragments() -> None:
    text = "fragments = 10\nset-size = 4\nparity = 2\n[[source]]\nbandwidth = 1\n"
    assert fragment_count(parse(SMALL + text, "x").file) == 16
