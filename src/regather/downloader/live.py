"""Downloads as they run, for a page that shows them."""

from __future__ import annotations

import threading
from collections.abc import Callable

from regather.downloader.observed import Observed, judge, server_sample
from regather.downloader.progress import ProgressReporter
from regather.downloader.report import Progress
from regather.engine import SourceTally
from regather.engine.tally import add_up
from regather.names import name_of_server
from regather.page.event_log import EventLog
from regather.page.samples import MOST_FILES, Outcome, Sample, ServerSample, TransferSample
from regather.sources.download_target import DownloadTarget
from regather.store.base import StoredPieces


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

    @property
    def tallies(self) -> list[SourceTally]:
        """Of each source once; a source may have several numbers."""
        return list({id(one): one for one in list(self.reporter.tallies)}.values())

    @property
    def stalled(self) -> set[str]:
        """The URLs of the sources no request of which gets anything."""
        if self.ended:
            return set()
        # A source that is added has a tally before the planner knows it.
        known = zip(list(self.reporter.tallies), list(self.reporter.healths), strict=False)
        return {tally.url for tally, health in known if health.all_stalled}


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
        totals: dict[str, SourceTally] = {}
        with self._lock:
            lives = self._lives = self._forget_ended()
            add_up(self._ended.values(), totals)
        for live in lives:
            add_up(live.tallies, totals)
        servers = {url: server_sample(tally) for url, tally in totals.items()}
        failed = {t.url: t for one in lives for t in one.tallies if t.last_failure}
        stalled = {url for live in lives for url in live.stalled}
        moments = list(self._moments.values())
        running = self._outcome == "running"
        for moment in moments:
            for source in moment.sources:
                server = servers.setdefault(source.url, ServerSample(source.url))
                server.connections += source.connections
                server.heard = max(server.heard, source.errors)
                server.latency = source.latency or server.latency
                server.last_error = server.last_error or source.last_error
                judge(
                    server,
                    source.state,
                    failed.get(source.url),
                    # Once all is there nobody is asked again: it is still what it was.
                    failures=source.failures,
                    pause=source.pause,
                    stalled=source.url in stalled,
                )
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
        ended = [live for live in newest.values() if live.ended][:-MOST_FILES]
        kept = [
            one
            for one in self._lives
            if not one.ended or (newest[one.reporter.name] is one and one not in ended)
        ]
        for live in self._lives:
            if live not in kept:
                add_up(live.tallies, self._ended)
        return kept


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
