"""What is told of a download: moments, the report, and the error where it is not whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from regather.downloader.report import (
    DownloadReport,
    Progress,
    RateMeter,
    SourceProgress,
    SourceReport,
    SourceState,
)
from regather.engine import Ending, SourceTally
from regather.engine.missing import all_refused, missing_lines
from regather.errors import NotEnoughSourcesError, RegatherError, VerificationError
from regather.model import Source
from regather.planner import Planner
from regather.sources.download_target import DownloadTarget
from regather.sources.probing import Probe
from regather.transport import is_url
from regather.units import counted

OnProgress = Callable[[Progress], None]


class ProgressReporter:
    """Knows over all rounds what sources did. Times are on the clock of ``time.monotonic``."""

    def __init__(
        self,
        target: DownloadTarget,
        planner: Planner,
        retries: int,
        on_progress: OnProgress | None,
        began: float,
    ) -> None:
        self._target = target
        self._retries = retries
        self._on_progress = on_progress
        self._began = began
        self._meter = RateMeter()
        self._meters = [RateMeter() for _ in target.sources]
        self.planner = planner
        """That of the present round."""
        self.tallies = [SourceTally(source.url) for source in target.sources]
        self.notes = list(target.notes)
        self.size = target.layout.size
        """Bytes that are wanted."""
        self.asked = target.first or len(target.sources)
        """So many sources are asked, the others only where these do not do."""
        self.liars: set[int] = set()
        """Sources that turned out to have another file."""

    def _state(self, source: int, now: float) -> SourceState:
        health = self.planner.sources[source]
        layout = self._target.layout
        held = self._target.sources[source].fragments
        if health.distrusted or source in self.liars:
            return "corrupt"
        if len(health.absent) == (len(layout.fragments) if held is None else len(held)):
            return "unused"
        if health.failures > self._retries:
            return "failed"
        # One that was busy has not failed, but may have asked to be left alone for an hour.
        paused = not health.active and health.retry_at > now
        if (health.failures or paused) and self.planner.pieces_left:
            return "waiting"
        return "active" if health.active else "idle"

    def _asked(self) -> list[tuple[int, Source, SourceTally]]:
        """The sources of this round and of those before it, with their numbers and tallies."""
        pairs = zip(self._target.sources, self.tallies, strict=True)
        return [(i, source, tally) for i, (source, tally) in enumerate(pairs)][: self.asked]

    def tell(self, phase: str, name: str, done: int, fetched: int) -> None:
        """Tell of this moment; ``done`` and ``fetched`` are bytes in place, and by this run."""
        if self._on_progress is None:
            return
        now = time.monotonic()
        rate = self._meter.read(now, fetched)
        left = self.size - done
        self._on_progress(
            Progress(
                phase=phase,  # type: ignore[arg-type]
                name=name,
                size=self.size,
                done=done,
                rate=rate,
                eta=left / rate if rate else None,
                seconds=now - self._began,
                sources=tuple(
                    SourceProgress(
                        url=source.url,
                        state=self._state(i, now),
                        received=tally.received,
                        rate=self._meters[i].read(now, tally.received),
                        connections=self.planner.sources[i].active,
                        errors=tally.errors,
                        failures=self.planner.sources[i].failures,
                        last_error=tally.last_error,
                        pause=max(self.planner.sources[i].retry_at - now, 0.0),
                        latency=self.planner.sources[i].latency,
                    )
                    for i, source, tally in self._asked()
                ),
                retries=self._retries,
                notes=tuple(self.notes),
            )
        )

    def report(
        self,
        path: str,
        *,
        resumed: int,
        reused: int,
        fetched: int,
        decoded: int,
        files: int | None,
    ) -> DownloadReport:
        """What is told in the end; sizes in bytes."""
        seconds = max(time.monotonic() - self._began, 1e-9)
        tallies = self.tallies
        placed = max(sum(t.useful for t in tallies), 1)
        return DownloadReport(
            path=path,
            name=self._target.name,
            size=self.size,
            digest=self._target.digest,
            verified=bool(self._target.verified_by),
            verified_by=self._target.verified_by,
            resumed=resumed,
            reused=reused,
            received=sum(t.received for t in tallies),
            seconds=seconds,
            rate=fetched / seconds,
            decoded=decoded,
            sources=tuple(
                SourceReport(
                    url=source.url,
                    received=tally.received,
                    useful=tally.useful,
                    share=tally.useful / placed,
                    rate=tally.received / seconds,
                    errors=tally.errors,
                    corrupt=tally.corrupt,
                    kinds=dict(tally.kinds),
                    last_error=tally.last_error,
                    state=self._state(i, time.monotonic()),
                )
                for i, source, tally in self._asked()
            ),
            notes=tuple(self.notes),
            files=files,
        )

    def not_whole(self, ending: Ending, kept: str) -> RegatherError:
        """The error for a download that could not be ended; ``kept`` says what is left of it."""
        target = self._target
        fragments = [target.layout.fragments[f] for f in ending.missing]
        known = (target.sources, self.tallies, ending.missing)
        details = missing_lines(target.layout, *known)
        count = len(self._target.layout.fragments)
        if self._target.whole:
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
        remote = any(is_url(s.url) for s in self._target.sources)
        if all_refused(*known):
            help = f"the sources do not have it: check the addresses, or add {more}"
        elif remote:
            help = f"start the servers again, or add {more}; the same command resumes"
        else:
            help = f"add {more}"
        return NotEnoughSourcesError(
            what, help=help, details=details, missing=tuple(f.name for f in fragments)
        )


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
