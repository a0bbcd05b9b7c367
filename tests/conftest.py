"""For all tests: in CI a skip is a failure, and nobody leaves threads or open files behind."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import settings

from bench import compiled
from tests.support.azurite import Azurite
from tests.support.gcs import Gcs
from tests.support.hosting import Hosting
from tests.support.net import PATIENCE
from tests.support.swift import PYTHON, Swift

for _name in ("http", "https", "ftp", "ftps", "sftp", "all", "no"):
    os.environ.pop(f"{_name}_proxy", None)
    os.environ.pop(f"{_name}_proxy".upper(), None)

# Background jobs of a script ignore SIGINT, and so would all processes that the tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A configuration of whoever runs the tests is none of their business.
os.environ["REGATHER_CONFIG"] = ""

# How long an example takes says nothing on a machine that others use too.
settings.register_profile("any load", deadline=None)
settings.load_profile("any load")

# A command that dies of a signal says where.
os.environ["PYTHONFAULTHANDLER"] = "1"


if _outdated := compiled.outdated():
    pytest.exit(
        f"the compiled planner is not of the present source ({', '.join(_outdated)}): "
        "run `make venv`, or `make plain` while you work on it",
        returncode=2,
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]):  # type: ignore[no-untyped-def]
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + PATIENCE
    while left := [
        t for t in threading.enumerate() if t not in before and t.name.startswith("regather")
    ]:
        assert time.monotonic() < until, f"threads left behind: {left}"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def swift(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    """An object store for all tests together; each makes a bucket of its own."""
    if not PYTHON.exists():
        pytest.skip("no object store here: run `make stores`")
    with Swift(tmp_path_factory.mktemp("swift")) as running:
        yield running


@pytest.fixture(scope="session")
def gcs() -> Iterator[Gcs]:
    with Gcs() as running:
        yield running


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    with Azurite() as running:
        yield running


@pytest.fixture
def hosting() -> Iterator[Hosting]:
    with Hosting() as running:
        yield running
