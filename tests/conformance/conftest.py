"""Every test runs once for each transport."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.places import LOCAL, NETWORKED, Place


def _made(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    folder = tmp_path / "a folder"
    folder.mkdir()
    with (LOCAL | NETWORKED)[request.param](request, folder) as made:
        yield made


@pytest.fixture(params=[*LOCAL, *NETWORKED])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each transport."""
    yield from _made(request, tmp_path)


@pytest.fixture(params=NETWORKED)
def remote(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each transport with a network in between."""
    yield from _made(request, tmp_path)
