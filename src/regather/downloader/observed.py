"""One file that is fetched, as a page shows it: what came from where, and what failures led to."""

from __future__ import annotations

import time
from array import array
from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from regather.downloader.report import SourceState
from regather.engine import SourceTally
from regather.model import Source
from regather.names import name_of_server
from regather.page.event_log import EventLog, EventRow, Level
from regather.page.samples import COMPUTED, HERE_BEFORE, Condition, FileSample, ServerSample
from regather.planner.health import Health
from regather.sources.download_target import DownloadTarget
from regather.transport import Failure, RequestFailed

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


Healths = Sequence[Health]
"""What is known of sources, by number."""


class Reported(Protocol):
    """The sources of a download, or of readers, by number."""

    @property
    def sources(self) -> Sequence[Source]:
        """Where they are."""
        ...

    @property
    def tallies(self) -> Sequence[SourceTally]:
        """What they delivered and cost."""
        ...

    @property
    def healths(self) -> Healths:
        """What is known of them; nothing before there is a planner."""
        ...


def server_sample(tally: SourceTally) -> ServerSample:
    """A server, by what was counted of it."""
    return ServerSample(
        tally.url,
        heard=tally.received + tally.errors,
        received=tally.received,
        useful=tally.useful,
        errors=tally.kinds,
        corrupt=tally.corrupt,
        last_error=tally.last_error,
    )


def judge(
    server: ServerSample,
    state: SourceState,
    tally: SourceTally | None,
    *,
    failures: int,
    pause: float,
    stalled: bool,
) -> None:
    """Set the condition of a server, unless that of another of its sources is worse.

    Its last ``failures`` requests failed; ``tally`` knows how. One that was gone is back with the
    first byte: its first good piece may take long.
    """
    failure = None if tally is None else tally.last_failure
    is_back = tally is not None and tally.is_back
    condition: Condition = "stalled" if stalled else "ok"
    if state in ("corrupt", "unused"):
        condition = state
    elif (state in ("failed", "waiting") or failures) and not is_back:
        condition = "paused" if failure is Failure.BUSY and state == "waiting" else "failing"
        condition = "gone" if failure is Failure.UNREACHABLE else condition
    if server.condition in ("ok", "unused"):
        server.condition, server.pause = condition, pause


class Observed:
    """One file that is fetched: an Observer of its engine."""

    def __init__(
        self,
        target: DownloadTarget,
        snapshot: Callable[[], bytes],
        reporter: Reported,
        events: EventLog,
    ) -> None:
        """``snapshot`` tells by the number of a piece whether it is in place."""
        self._target = target
        self._layout = target.layout
        self._snapshot = snapshot
        self._reported = reporter
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
        return name_of_server(self._reported.sources[source].url)

    def _note(self, source: int, fragment: int, piece: int, phrase: str, kind: object) -> None:
        which = f"fragment {self._layout.fragments[fragment].index}"
        if self._target.whole:
            which = "the file"
        text = f"{self._name(source)} {phrase} {which}"
        url = self._reported.sources[source].url
        row = self._events.add(
            text,
            servers=(url,),
            level="bad" if kind == "corrupt" else _LEVELS.get(kind, "warning"),
            same=(url, kind, fragment, self._target.name),
        )
        if len(self._open) < _MOST_OPEN:
            waiting = self._open.setdefault(self._layout.first_pieces[fragment] + piece, [])
            if all(known is not row for known, _, _, _ in waiting):
                waiting.append((row, text, time.monotonic(), source))

    def _made_good(self, number: int, by: int) -> None:
        for row, text, at, source in self._open.pop(number, ()):
            later = f"{1000 * (time.monotonic() - at):.0f} ms later"
            mine, other = self._reported.sources[source].url, self._reported.sources[by].url
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
                    url = self._reported.sources[source].url
                    self._events.amend(row, f"{text}; computed from parity", (url,))

    # -- sampling -------------------------------------------------------------------------

    def sample(self) -> FileSample:
        """Its state now."""
        here = self._snapshot()
        self._close_open(here)
        sources = list(self._reported.sources)
        absent: set[tuple[int, int]] = set()
        for number, health in enumerate(self._reported.healths):
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
