"""Downloads as they run, for a page that shows them."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable

from regather.downloader.observed import Observed
from regather.downloader.progress import ProgressReporter
from regather.downloader.report import Progress, SourceProgress
from regather.engine import SourceTally
from regather.page.event_log import EventLog
from regather.page.samples import (
    Condition,
    Outcome,
    Sample,
    ServerSample,
    TransferSample,
)
from regather.page.server_rows import name_of_server
from regather.sources.download_target import DownloadTarget
from regather.store.base import StoredPieces
from regather.transport import Failure

_MOST_FILES = 20


class LiveDownload(Observed):
    """One download."""

    def __init__(
        self,
        target: DownloadTarget,
        destination: StoredPieces,
        reporter: ProgressReporter,
        events: EventLog,
    ) -> None:
        super().__init__(target, destination.snapshot, reporter, events)
        self.reporter = reporter

    def is_stalled(self, number: int) -> bool:
        """Whether no request of a source gets anything."""
        healths = self.reporter.healths
        return bool(healths) and not self.ended and healths[number].all_stalled


class WatchedDownloads:
    """Any number of downloads of one command: a Watcher, and the Sampled of a page."""

    def __init__(self) -> None:
        self.events = EventLog()
        self.activity = ""
        """What is done now, where no download says so."""
        self.wait_for_reader: Callable[[float], bool] = lambda seconds: False
        """Waits until a browser watches; returns whether one does."""
        self._lives: list[LiveDownload] = []
        self._ended: dict[str, SourceTally] = {}
        """By URL: what the sources of downloads that have ended came to."""
        self._moments: dict[int, Progress] = {}
        self._lock = threading.Lock()
        self._outcome: Outcome = "running"
        self._message = ""

    def watch(
        self, target: DownloadTarget, destination: StoredPieces, reporter: ProgressReporter
    ) -> LiveDownload:
        """See Watcher.watch."""
        live = LiveDownload(target, destination, reporter, self.events)
        with self._lock:
            self._lives.append(live)
        return live

    def progress(self, moment: Progress) -> None:
        """Take in the moment of the only download."""
        self._moments[0] = moment

    def progress_of(self, number: int, moment: Progress | None) -> None:
        """Take in the moment of one of several downloads; None: it has ended."""
        if moment is None:
            self._moments.pop(number, None)
        else:
            self._moments[number] = moment

    def finish(self, message: str, outcome: Outcome = "done") -> None:
        """All has ended; ``message`` is one sentence."""
        self._outcome, self._message = outcome, message
        self.events.add(message, level="good" if outcome == "done" else "bad")

    def sample(self) -> Sample:
        """See Sampled.sample."""
        with self._lock:
            lives = self._lives = self._forget_ended()
            servers = {url: _server(tally) for url, tally in self._ended.items()}
        for live in lives:
            # A source may have several numbers, and has one tally.
            for tally in {id(one): one for one in list(live.reporter.tallies)}.values():
                _add(servers.setdefault(tally.url, ServerSample(tally.url)), tally)
        moments = list(self._moments.values())
        running = self._outcome == "running"
        for moment in moments:
            for source in moment.sources:
                server = servers.setdefault(source.url, ServerSample(source.url))
                _judge(server, source, lives)
                if not running:
                    server.connections, server.pause = 0, 0.0
        names = [live.reporter.name for live in lives]
        return Sample(
            servers=list(servers.values()),
            files=[live.sample() for live in lives],
            transfers=[
                _transfer(moment, names, "" if running else self._outcome)
                for moment in moments
                if moment.name
            ],
            received=sum(server.received for server in servers.values()),
            activity=moments[0].phase if moments and running else self.activity if running else "",
            outcome=self._outcome,
            message=self._message,
        )

    def _forget_ended(self) -> list[LiveDownload]:
        """Keep the last downloads of each file, and of older ones the counters alone."""
        newest = {live.reporter.name: live for live in self._lives}
        ended = [live for live in newest.values() if live.ended][:-_MOST_FILES]
        kept = [one for one in self._lives if newest[one.reporter.name] is one and one not in ended]
        for live in self._lives:
            if live not in kept:
                for tally in {id(one): one for one in live.reporter.tallies}.values():
                    into = self._ended.setdefault(tally.url, SourceTally(tally.url))
                    into.received += tally.received
                    into.useful += tally.useful
                    into.corrupt += tally.corrupt
                    into.kinds = dict(Counter(into.kinds) + Counter(tally.kinds))
                    into.last_error = tally.last_error or into.last_error
        return kept


def _server(tally: SourceTally) -> ServerSample:
    server = ServerSample(tally.url)
    _add(server, tally)
    return server


def _add(server: ServerSample, tally: SourceTally) -> None:
    server.received += tally.received
    server.useful += tally.useful
    server.corrupt += tally.corrupt
    server.errors = dict(Counter(server.errors) + Counter(tally.kinds.copy()))
    server.last_error = tally.last_error or server.last_error


def _judge(server: ServerSample, source: SourceProgress, lives: list[LiveDownload]) -> None:
    """Add what a moment says of a source: its state, connections, pause."""
    failure, stalled = None, False
    for live in lives:
        for number, tally in enumerate(list(live.reporter.tallies)):
            if tally.url == source.url:
                failure = tally.last_failure or failure
                stalled |= live.is_stalled(number)
    server.connections += source.connections
    server.latency = source.latency or server.latency
    server.last_error = server.last_error or source.last_error
    condition = _condition(source, failure)
    if condition == "ok" and stalled:
        condition = "stalled"
    if server.condition in ("ok", "unused"):
        server.condition, server.pause = condition, source.pause


def _condition(source: SourceProgress, failure: Failure | None) -> Condition:
    # Once all is there nobody is asked again: a source that failed last is still what it was.
    if source.state in ("waiting", "failed") or (source.failures and source.state != "corrupt"):
        if failure is Failure.UNREACHABLE:
            return "gone"
        if failure is Failure.BUSY and source.state == "waiting":
            return "paused"
        return "failing"
    if source.state == "corrupt":
        return "corrupt"
    return "unused" if source.state == "unused" else "ok"


def _transfer(moment: Progress, names: list[str], ended: str) -> TransferSample:
    waits = ""
    waiting = [source for source in moment.sources if source.state == "waiting"]
    if waiting and not ended and not any(source.state == "active" for source in moment.sources):
        waits = f"waits for {name_of_server(waiting[0].url)}"
    return TransferSample(
        name=moment.name,
        size=moment.size,
        done=moment.done,
        rate=moment.rate,
        left=moment.eta,
        phase=ended or moment.phase,
        waits=waits,
        seconds=moment.seconds,
        file=names.index(moment.name) if moment.name in names else -1,
    )
