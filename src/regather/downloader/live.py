"""Downloads as they run, for a page that shows them: samples, and what was done about failures."""

from __future__ import annotations

import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Collection

from regather.downloader.progress import ProgressReporter
from regather.downloader.report import Progress, SourceProgress
from regather.engine import SourceTally
from regather.page.event_log import EventLog, EventRow, Level
from regather.page.samples import (
    COMPUTED,
    HERE_BEFORE,
    Condition,
    FileSample,
    Outcome,
    Sample,
    ServerSample,
    TransferSample,
)
from regather.page.server_rows import name_of_server
from regather.sources.download_target import DownloadTarget
from regather.store.base import StoredPieces
from regather.transport import Failure, RequestFailed

_MOST_FILES = 20
_MOST_OPEN = 1000
"""Failures whose end is waited for."""
_LEVELS: dict[object, Level] = {Failure.MISSING: "info", Failure.BUSY: "info"}
_PHRASES = {
    Failure.UNREACHABLE: "could not be reached for",
    Failure.TIMEOUT: "sent nothing for too long of",
    Failure.RESET: "lost the connection within",
    Failure.TRUNCATED: "ended its answer too early within",
    Failure.BUSY: "is too busy for",
    Failure.SERVER_ERROR: "reported an error of its own for",
    Failure.MISSING: "does not have",
    Failure.FORBIDDEN: "does not allow to read",
    Failure.CHANGED: "has another version of",
    Failure.DAMAGED: "sent damaged bytes of",
}


class LiveDownload:
    """One download: an Observer of its engine."""

    def __init__(
        self,
        target: DownloadTarget,
        destination: StoredPieces,
        reporter: ProgressReporter,
        events: EventLog,
    ) -> None:
        self._target = target
        self._layout = target.layout
        self._snapshot = destination.snapshot
        self.reporter = reporter
        self._events = events
        self._deliverers = array("H", bytes(2 * self._layout.piece_count))
        self._held: set[tuple[int, int]] = set()
        self._corrupt: set[tuple[int, int]] = set()
        self._open: dict[int, list[tuple[EventRow, str, float, int]]] = {}
        """By piece: failures that were not made good yet, with their time and source."""
        self._in_flight: Callable[[], list[tuple[int, int, int, int]]] = list
        self.ended = False

    def found(self, numbers: Collection[int]) -> None:
        """These pieces were in place before anything was asked for."""
        for number in numbers:
            if not self._deliverers[number]:
                self._deliverers[number] = HERE_BEFORE

    def end(self) -> None:
        """Nothing comes any more: keep what it came to."""
        here = self._snapshot()
        self._close_open(here)
        self._snapshot, self._in_flight, self.ended = lambda: here, list, True

    # -- Observer -------------------------------------------------------------------------

    def began(self, in_flight: Callable[[], list[tuple[int, int, int, int]]]) -> None:
        """See Observer.began."""
        self._in_flight = in_flight

    def delivered(self, source: int, fragment: int, piece: int) -> None:
        """See Observer.delivered."""
        number = self._layout.first_pieces[fragment] + piece
        self._deliverers[number] = min(source + 1, COMPUTED - 1)
        self._held.add((source, fragment))
        if self._open:
            self._made_good(number, source)

    def sent_corrupt(self, source: int, fragment: int, piece: int) -> None:
        """See Observer.sent_corrupt."""
        self._corrupt.add((source, fragment))
        self._note(source, fragment, piece, "sent a corrupt piece of", "corrupt")

    def failed(self, source: int, fragment: int, piece: int, error: RequestFailed) -> None:
        """See Observer.failed."""
        phrase = _PHRASES.get(error.failure, "failed to send")
        self._note(source, fragment, piece, phrase, error.failure)

    def _name(self, source: int) -> str:
        return name_of_server(self.reporter.sources[source].url)

    def _note(self, source: int, fragment: int, piece: int, phrase: str, kind: object) -> None:
        which = f"fragment {self._layout.fragments[fragment].index}"
        if self._target.whole:
            which = "the file"
        text = f"{self._name(source)} {phrase} {which}"
        url = self.reporter.sources[source].url
        row = self._events.add(
            text,
            servers=(url,),
            level="bad" if kind == "corrupt" else _LEVELS.get(kind, "warning"),
            same=(url, kind, fragment, self._target.name),
        )
        if len(self._open) < _MOST_OPEN:
            number = self._layout.first_pieces[fragment] + piece
            self._open.setdefault(number, []).append((row, text, time.monotonic(), source))

    def _made_good(self, number: int, by: int) -> None:
        for row, text, at, source in self._open.pop(number, ()):
            later = f"{1000 * (time.monotonic() - at):.0f} ms later"
            mine, other = self.reporter.sources[source].url, self.reporter.sources[by].url
            if mine == other:
                self._events.amend(row, f"{text}; it sent the piece again, {later}", (mine,))
            else:
                ended = f"{text}; fetched from {self._name(by)}, {later}"
                self._events.amend(row, ended, (mine, other))

    def _close_open(self, here: bytes) -> None:
        """Those whose pieces were computed from parity."""
        for number in list(self._open):
            if number < len(here) and here[number]:
                for row, text, _, source in self._open.pop(number, ()):
                    url = self.reporter.sources[source].url
                    self._events.amend(row, f"{text}; computed from parity", (url,))

    # -- sampling -------------------------------------------------------------------------

    def sample(self) -> FileSample:
        """Its state now."""
        here = self._snapshot()
        self._close_open(here)
        planner, sources = self.reporter.planner, list(self.reporter.sources)
        absent: set[tuple[int, int]] = set()
        for number, health in enumerate(() if planner is None else planner.sources):
            absent.update((number, fragment) for fragment in tuple(health.absent))
        return FileSample(
            name=self._target.name,
            layout=self._layout,
            here=here,
            servers=[source.url for source in sources],
            holdings=[source.fragments for source in sources],
            deliverers=self._deliverers,
            held=frozenset(self._held.copy()),
            absent=absent,
            corrupt=frozenset(self._corrupt.copy()),
            reading=[one for one in self._in_flight() if one[0] < len(sources)],
        )

    def is_stalled(self, number: int) -> bool:
        """Whether no request of a source gets anything."""
        planner = self.reporter.planner
        return planner is not None and not self.ended and planner.sources[number].all_stalled


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
