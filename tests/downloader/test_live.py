"""What the page of a download is told of its sources."""

from __future__ import annotations

import time

import pytest

from regather.downloader.live import LiveDownload, WatchedDownloads
from regather.downloader.observed import condition_of
from regather.downloader.planning import planner_of
from regather.downloader.progress import ProgressReporter
from regather.downloader.run_context import RunContext
from regather.model import Source
from regather.sources.download_target import DownloadTarget
from regather.sources.settings import Settings, transport_options
from regather.store.memory import MemoryStore
from regather.transport import Failure, RequestFailed
from tests.support.small import PIECE, small

SETTINGS = Settings()


class Begun:
    """A download that has a planner, and moments, and gets no piece."""

    def __init__(self, watched: WatchedDownloads, name: str, sources: list[Source]) -> None:
        layout = small([4 * PIECE]).manifest.layout
        target = DownloadTarget(name, layout, tuple(sources), b"", "0" * 64)
        options = transport_options(SETTINGS)
        context = RunContext(SETTINGS, options, time.monotonic(), watched.progress)
        self.reporter = ProgressReporter(target, context, name)
        for source in sources:
            self.reporter.add(source)
        holdings = [source.fragments for source in sources]
        self.reporter.planner = planner_of(layout, SETTINGS, holdings, (), range(4))
        self.live: LiveDownload = watched.watch(target, MemoryStore(layout, 1 << 20), self.reporter)
        self.reporter.tell("downloading", 0, 0)


def test_a_source_is_added_while_the_page_looks() -> None:
    """It has a tally before the planner knows it."""
    watched = WatchedDownloads()
    one = Source("http://a.example/")
    begun = Begun(watched, "file.bin", [one])
    begun.reporter.add(one)
    (server,) = watched.sample().servers
    assert server.condition == "ok"


def test_counters_go_on_where_two_downloads_have_one_name() -> None:
    watched = WatchedDownloads()
    source = Source("http://a.example/")
    first, second = (Begun(watched, "file.bin", [source]) for _ in range(2))
    watched.sample()
    first.reporter.tallies[0].received = 5
    second.reporter.tallies[0].received = 7
    assert watched.sample().servers[0].received == 12
    first.live.end()
    first.reporter.tallies[0].note(RequestFailed(Failure.RESET, "it broke"))
    assert watched.sample().servers[0].received == 12
    (server,) = watched.sample().servers
    assert (server.errors, server.last_error) == ({"connection lost": 1}, "it broke")


@pytest.mark.parametrize(
    ("corrupt", "failed", "waiting", "failure", "condition"),
    [
        (False, False, False, Failure.UNREACHABLE, "ok"),
        (False, False, True, Failure.UNREACHABLE, "gone"),
        (False, True, False, Failure.UNREACHABLE, "gone"),
        (False, False, True, Failure.BUSY, "paused"),
        (False, True, False, Failure.BUSY, "failing"),
        (False, False, True, Failure.RESET, "failing"),
        (False, True, False, None, "failing"),
        (True, True, True, Failure.UNREACHABLE, "corrupt"),
    ],
)
def test_conditions(
    corrupt: bool, failed: bool, waiting: bool, failure: Failure | None, condition: str
) -> None:
    found = condition_of(failure, corrupt=corrupt, failed=failed, waiting=waiting)
    assert found == condition
