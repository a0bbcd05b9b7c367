"""The recorder of calls, one for the tests of a module."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.support.preload import compiled
from tests.torture.recorder import SOURCE, Recorder


@pytest.fixture(scope="module")
def recorder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorder]:
    """Of Linux: it counts the calls of its C library."""
    if sys.platform != "linux":
        pytest.skip("the calls are those of Linux")
    if not compiled(SOURCE):
        pytest.skip("no C compiler: apt-get install gcc")
    made = Recorder(tmp_path_factory.mktemp("log"))
    yield made
    made.close()
