"""For all tests: in CI a skip is a failure, and nobody leaves threads or open files behind."""

from __future__ import annotations

import os
import re
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from bench import compiled
from tests.support.azurite import Azurite
from tests.support.gcs import Gcs
from tests.support.hosting import Hosting
from tests.support.jitter import sitecustomize as jitter
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
# Nor are the versions that they have accepted: who tests signatures sets a folder for them.
os.environ["XDG_STATE_HOME"] = "/dev/null/no-state"

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


_IMPURE = frozenset(
    ("socket.bind", "socket.connect", "subprocess.Popen", "os.fork", "os.exec", "os.posix_spawn")
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--pure", action="store_true", help="let no test use a socket or start a process"
    )
    parser.addoption(
        "--jitter",
        type=float,
        metavar="SECONDS",
        help="delay threads and connections at random, up to SECONDS, to find tests that race",
    )


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--pure"):
        sys.addaudithook(_refuse_impure)
    most = config.getoption("--jitter")
    if most and jitter.MOST not in os.environ:  # else Python itself has imported it
        os.environ[jitter.MOST] = str(most)
        folder = str(Path(jitter.__file__).parent)
        os.environ["PYTHONPATH"] = os.pathsep.join(
            [folder, *filter(None, [os.environ.get("PYTHONPATH")])]
        )
        jitter.delay_at_random(most)


_running = threading.local()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol() -> Iterator[None]:
    _running.test = True  # pytest itself and its plugins may start what they want
    try:
        return (yield)
    finally:
        _running.test = False


def _refuse_impure(event: str, arguments: tuple[object, ...]) -> None:
    if event in _IMPURE and getattr(_running, "test", False):
        raise RuntimeError(f"{event} in a test of `make quick`, which runs only what is pure")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which packages would run what was skipped. A reason names them after apt-get install."""
    reasons: Counter[str] = Counter()
    for report in terminalreporter.getreports("skipped"):
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reasons[text.removeprefix("Skipped: ")] += 1
    if not reasons:
        return
    terminalreporter.section("skipped here")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count:5}  {reason}")
    named = re.findall(r"apt-get install ([a-z0-9+. -]*[a-z0-9])", "\n".join(reasons))
    if named:
        packages = " ".join(sorted({name for line in named for name in line.split()}))
        terminalreporter.line(f"To run more (Debian): apt-get install {packages}")


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


@pytest.fixture(autouse=True)
def _signals_as_before() -> Iterator[None]:
    """A command that ran in this process has set handlers, and processes forked later have them.

    With a handler for SIGTERM, ``multiprocessing.Pool`` waits for ever now and then: a child that
    takes the signal just before it begins to wait does not notice it.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


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
