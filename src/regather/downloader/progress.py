"""What is told of a download: moments, the report, and the error where it is not whole."""

from __future__ import annotations

import time
from collections.abc import Sequence

from regather.downloader.report import (
    DownloadReport,
    Phase,
    Progress,
    RateMeter,
    SourceProgress,
    SourceReport,
    SourceState,
)
from regather.downloader.run_context import RunContext
from regather.engine import Ending, SourceTally
from regather.engine.missing import all_refused, missing_lines
from regather.errors import (
    InterruptedDownload,
    NotEnoughSourcesError,
    RegatherError,
    VerificationError,
)
from regather.model import Source
from regather.planner import Planner
from regather.planner.health import Health
from regather.sources.download_target import DownloadTarget
from regather.sources.probing import Probe
from regather.transport import is_url
from regather.units import counted


class ProgressReporter:
    """Knows what the sources of a download did. Times are on the clock of ``time.monotonic``."""

    def __init__(self, target: DownloadTarget, context: RunContext, name: str) -> None:
        """``name`` is that of the file or folder at its destination."""
        self._target = target
        self._context = context
        self.name = name
        self._meter = RateMeter()
        self._meters: list[RateMeter] = []
        self.planner: Planner | None = None
        """Knows the state of the sources; None before there is one, and where none is needed."""
        self.active = -1
        """The source that is asked, where no planner knows."""
        self.sources: list[Source] = []
        """Those that are asked, by number."""
        self.tallies: list[SourceTally] = []
        self._numbers: dict[str, list[int]] = {}
        """The numbers of each source, by its URL."""
        self.notes = list(target.notes)
        self.size = target.layout.size
        """Bytes that are wanted."""
        self.liars: set[int] = set()
        """Sources that turned out to have another file."""

    def add(self, source: Source) -> SourceTally:
        """One more source is asked; what it delivers is to be counted in the tally.

        A source may be added again with other fragments. It has one tally.
        """
        numbers = self._numbers.setdefault(source.url, [])
        numbers.append(len(self.sources))
        self.sources.append(source)
        self.tallies.append(
            SourceTally(source.url) if len(numbers) == 1 else self.tallies[numbers[0]]
        )
        self._meters.append(RateMeter())
        return self.tallies[-1]

    def look_for_stop(self, what: str, help: str = "") -> None:
        """Raise InterruptedDownload if the caller asked to stop."""
        if self._context.stopped:
            raise InterruptedDownload(what, help=help)

    @property
    def healths(self) -> Sequence[Health]:
        """What is known of each source; nothing before there is a planner."""
        return () if self.planner is None else self.planner.sources

    def _state(self, source: int, now: float) -> SourceState:
        if self.planner is None:
            if source == self.active:
                return "active"
            tally = self.tallies[source]
            return "failed" if tally.errors and not tally.useful else "idle"
        if source in self.liars:
            return "corrupt"
        health = self.planner.sources[source]
        held = self.sources[source].fragments
        count = len(self._target.layout.fragments) if held is None else len(held)
        state = state_of(health, count, self._context.settings.retries, now)
        if state == "waiting" and not self.planner.pieces_left:
            return "active" if health.active else "idle"
        return state

    def _moment(self, numbers: Sequence[int], now: float) -> SourceProgress:
        source = numbers[-1]
        tally = self.tallies[source]
        health = None if self.planner is None else self.planner.sources[source]
        connections = int(source == self.active)
        if self.planner is not None:
            connections = sum(self.planner.sources[number].active for number in numbers)
        return SourceProgress(
            url=tally.url,
            state=self._state(source, now),
            received=tally.received,
            rate=self._meters[source].read(now, tally.received),
            connections=connections,
            errors=tally.errors,
            failures=0 if health is None else health.failures,
            last_error=tally.last_error,
            pause=0.0 if health is None else max(health.retry_at - now, 0.0),
            latency=0.0 if health is None else health.latency,
        )

    def tell(self, phase: Phase, done: int, fetched: int) -> None:
        """Tell of this moment; ``done`` and ``fetched`` are bytes in place, and by this run."""
        if self._context.on_progress is None:
            return
        now = time.monotonic()
        sources = tuple(self._moment(numbers, now) for numbers in self._numbers.values())
        # While no piece is whole, only the sources have a rate.
        rate = self._meter.read(now, fetched) or sum(
            source.rate for source in sources if source.state == "active"
        )
        streamed = self._target.streamed
        self._context.on_progress(
            Progress(
                phase=phase,
                name=self.name,
                size=done if streamed else self.size,
                done=done,
                rate=rate,
                eta=(self.size - done) / rate if rate and not streamed else None,
                seconds=now - self._context.began,
                sources=sources,
                retries=self._context.settings.retries,
                notes=tuple(self.notes),
            )
        )

    def report(
        self,
        path: str,
        *,
        fetched: int,
        resumed: int = 0,
        reused: int = 0,
        decoded: int = 0,
        files: int | None = None,
        content: int | None = None,
    ) -> DownloadReport:
        """What is told in the end; sizes in bytes."""
        now = time.monotonic()
        seconds = max(now - self._context.began, 1e-9)
        tallies = [(self.tallies[numbers[0]], numbers[-1]) for numbers in self._numbers.values()]
        placed = max(sum(tally.useful for tally, _ in tallies), 1)
        verified_by = self._target.verified_by
        return DownloadReport(
            path=path,
            name=self._target.name,
            size=fetched if self._target.streamed else self.size,
            digest=self._target.digest,
            verified=bool(verified_by),
            verified_by=verified_by,
            signed_by=self._target.signed_by,
            resumed=resumed,
            reused=reused,
            received=sum(tally.received for tally, _ in tallies),
            seconds=seconds,
            rate=fetched / seconds,
            decoded=decoded,
            sources=tuple(
                SourceReport(
                    url=tally.url,
                    received=tally.received,
                    useful=tally.useful,
                    share=tally.useful / placed,
                    rate=tally.received / seconds,
                    errors=tally.errors,
                    corrupt=tally.corrupt,
                    kinds=dict(tally.kinds),
                    last_error=tally.last_error,
                    state=self._state(source, now),
                )
                for tally, source in tallies
            ),
            notes=tuple(self.notes),
            files=files,
            content=content,
        )

    def not_whole(
        self, ending: Ending, kept: str, again: str = "the same command resumes"
    ) -> RegatherError:
        """The error for a download that could not be ended; ``kept`` says what is left of it."""
        target = self._target
        fragments = [target.layout.fragments[f] for f in ending.missing]
        known = (self.sources, self.tallies, ending.missing)
        details = missing_lines(target.layout, *known)
        count = len(target.layout.fragments)
        if target.whole:
            what, more = f"the file is incomplete; {kept}", "another mirror"
        else:
            what = (
                f"{len(fragments)} of {counted(count, 'fragment')} could not be downloaded; {kept}"
            )
            more = "another source with --server"
        if ending.corrupt:
            return VerificationError(
                f"a source sent wrong data, and no other source has these pieces: {what}",
                help=f"repair that source, or add {more}, then run the same command again",
                details=details,
            )
        remote = any(is_url(s.url) for s in self.sources)
        if not remote and not target.whole:
            help = "name every folder and server of the file, each with --server"
        elif all_refused(*known):
            help = f"the sources do not have it: check the addresses, or add {more}"
        elif remote:
            help = f"start the servers again, or add {more}; {again}"
        else:
            help = f"add {more}"
        return NotEnoughSourcesError(
            what, help=help, details=details, missing=tuple(f.name for f in fragments)
        )


def state_of(health: Health, held: int, retries: int, now: float) -> SourceState:
    """The state of a source that holds ``held`` fragments."""
    if health.distrusted:
        return "corrupt"
    if len(health.absent) == held:
        return "unused"
    if health.failures > retries:
        return "failed"
    # One that was busy has not failed, but may have asked to be left alone for an hour.
    if health.failures or (not health.active and health.retry_at > now):
        return "waiting"
    return "active" if health.active else "idle"


def asking_progress(asked: Sequence[Probe], retries: int, seconds: float) -> Progress:
    """The moment as a Progress; name and sizes are empty, for they are what is being asked."""
    return Progress(
        phase="asking",
        name="",
        size=0,
        done=0,
        rate=0.0,
        eta=None,
        seconds=seconds,
        sources=tuple(
            SourceProgress(
                url=one.url,
                state=one.state,
                received=0,
                rate=0.0,
                connections=int(one.state == "active"),
                errors=one.failures,
                failures=one.failures,
                last_error=one.last_error,
                pause=max(one.again_at - time.monotonic(), 0.0),
            )
            for one in asked
        ),
        retries=retries,
    )
