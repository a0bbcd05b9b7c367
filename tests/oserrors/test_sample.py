"""A sample of the points; ``python -m tests.oserrors`` takes all of them, in some minutes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oserrors.harness import Point, Work, carry_out, flaw_of, points
from tests.oserrors.works import works

SAMPLE = 25


@pytest.fixture(scope="module")
def all_works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Work]]:
    with works(tmp_path_factory.mktemp("works")) as made:
        yield {work.name: work for work in made}


@pytest.mark.parametrize(
    "name",
    [
        *("get from a folder", "get by a manifest", "get by a checksum", "get a folder"),
        *("split", "split a folder", "publish"),
    ],
)
def test_a_call_that_fails_is_told_and_does_no_harm(
    all_works: dict[str, Work], name: str, tmp_path: Path
) -> None:
    work = all_works[name]
    flaw, counts = flaw_of(work, tmp_path / "whole", None)
    assert not flaw
    assert len(counts) > 5
    sample = random.Random(name).sample(list(points(counts, most=3)), SAMPLE)
    flaws = [
        f"{point}: {flaw}"
        for number, point in enumerate(sample)
        if (flaw := flaw_of(work, tmp_path / str(number), point)[0])
    ]
    assert flaws == []


def test_the_harness_lets_a_call_fail(tmp_path: Path) -> None:
    """One that is counted, and is told as what it is, with the path."""
    words = ["generate", str(tmp_path / "x"), "--size", "10KB"]
    _, counts = carry_out(words, None)
    (tmp_path / "x").unlink()
    told, again = carry_out(words, Point("os.open", 1, 5))
    assert counts["os.open"] >= again["os.open"] == 1
    assert told.code == 1
    assert told.errors.startswith(f"regather: {tmp_path}")
    assert "input/output error" in told.errors
