"""What the page of a download is told of its sources."""

from __future__ import annotations

import time

import pytest

from regather.downloader.live import LiveDownload, WatchedDownloads
from regather.downloader.observed import judge
from regather.downloader.planning import planner_of
from regather.downloader.progress import ProgressReporter
from regather.downloader.report import SourceState
from regather.downloader.run_context import RunContext
from regather.engine import SourceTally
from regather.model import Source
from regather.page.samples import ServerSample
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
    ("state", "failure", "condition"),
    [
        ("idle", Failure.UNREACHABLE, "ok"),
        ("waiting", Failure.UNREACHABLE, "gone"),
        ("failed", Failure.UNREACHABLE, "gone"),
        ("waiting", Failure.BUSY, "paused"),
        ("failed", Failure.BUSY, "failing"),
        ("waiting", Failure.RESET, "failing"),
        ("failed", None, "failing"),
        ("corrupt", Failure.UNREACHABLE, "corrupt"),
        ("unused", Failure.MISSING, "unused"),
    ],
)
def test_conditions(state: SourceState, failure: Failure | None, condition: str) -> None:
    server = ServerSample("http://a.example/")
    tally = SourceTally(last_failure=failure)
    judge(server, state, tally, failures=0, pause=1.0, stalled=False)
    assert (server.condition, server.pause) == (condition, 1.0)


def test_a_server_that_was_gone_is_back_with_its_first_byte() -> None:
    """Its first good piece, which ends the row of failures, may take long."""
    tally = SourceTally(received=5)
    for failure, after in ((Failure.UNREACHABLE, "ok"), (Failure.RESET, "failing")):
        tally.note(RequestFailed(failure, "it failed"))
        before = "gone" if after == "ok" else after
        for condition in (before, after):
            server = ServerSample("http://a.example/")
            judge(server, "waiting", tally, failures=3, pause=0.0, stalled=False)
            assert server.condition == condition
            tally.received += 1


def test_of_several_sources_the_first_in_trouble_is_the_condition() -> None:
    server = ServerSample("http://a.example/")
    for failures, stalled in ((0, False), (0, True), (1, False)):
        tally = SourceTally(last_failure=Failure.RESET)
        judge(server, "active", tally, failures=failures, pause=0.0, stalled=stalled)
    assert server.condition == "stalled"


def test_a_failure_that_is_repeated_is_made_good_once() -> None:
    """A server that is away is asked for the same piece again and again."""
    watched = WatchedDownloads()
    live = Begun(watched, "file.bin", [Source("http://a.example/")]).live
    for _ in range(3):
        live.failed(0, 0, 1, RequestFailed(Failure.UNREACHABLE, "a.example:80: refused"))
    live.delivered(0, 0, 1)
    (event,) = watched.events.since()
    assert (event.count, event.seq) == (3, 4)
    assert event.text.startswith("a.example could not be reached for fragment 1; it sent the piece")
