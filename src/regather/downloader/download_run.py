"""One download to its destination, and what is told meanwhile.

Sources that are held back are added when the others are not enough. If a checksum shows that
mirrors have different files, the file is made that of one of them alone (see ``mirror_ledger``).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from regather.downloader.held_back import HeldBack
from regather.downloader.mirror_ledger import MirrorLedger
from regather.downloader.planning import planner_of
from regather.downloader.progress import ProgressReporter
from regather.downloader.report import DownloadReport, Phase
from regather.downloader.run_context import RunContext
from regather.downloader.whole_hash import InOrderHasher
from regather.downloader.wrong_file import WrongFile
from regather.engine import Ending, Engine
from regather.errors import InterruptedDownload
from regather.model import FragmentPosition
from regather.schemes import HTTP, scheme_of
from regather.sources.download_target import DownloadTarget
from regather.sources.probing import GOES_ON
from regather.transport import open_connection
from regather.units import counted, format_size

if TYPE_CHECKING:
    from regather.downloader.live import LiveDownload
    from regather.store import AnyDestination
    from regather.store.seeds import Seed

STARTS_ANEW = "the same command starts at the beginning"
_BEGINS_ANEW = (
    "the same command starts again from the beginning, because no server reports an "
    "ETag or a date of the file; with a checksum (--sha256 HEX) it would resume"
)


class DownloadRun:
    """The part of a download that has a destination open."""

    def __init__(
        self,
        target: DownloadTarget,
        destination: AnyDestination,
        context: RunContext,
        seeds: Sequence[Seed] = (),
    ) -> None:
        self._target = target
        self._destination = destination
        self._context = context
        self._seeds = seeds
        self._reporter = ProgressReporter(target, context, destination.path.name)
        self._reused = self._resumed = 0
        self._base = 0
        """Bytes that were in place before this engine ran."""
        self._fetched = 0
        """Bytes that engines before this one brought."""
        self._engine: Engine | None = None
        self._held_back = HeldBack(target, self._reporter)
        tracked = bool(target.checksums) and not target.hashed
        self._ledger = MirrorLedger(target.layout, len(target.sources)) if tracked else None
        self._hasher: InOrderHasher | None = None
        self._live: LiveDownload | None = None
        if context.watcher is not None:
            self._live = context.watcher.watch(target, destination, self._reporter)

    @property
    def _brought(self) -> int:
        """Bytes that the present engine brought."""
        return self._engine.done_bytes if self._engine is not None else 0

    @property
    def _done(self) -> int:
        """Bytes in place."""
        return self._base + self._brought

    def to_the_end(self) -> DownloadReport:
        """Download, check, give the file its name.

        Raises WrongFile, VerificationError, NotEnoughSourcesError, StorageError or
        InterruptedDownload.
        """
        good = self._recover()
        try:
            ending = self._fetch([source.fragments for source in self._reporter.sources], good)
            if ending.missing:
                again = () if self._destination.lasting else (STARTS_ANEW,)
                raise self._reporter.not_whole(ending, self._kept(), *again)
            if self._target.checksums:
                self._check_whole()
        except KeyboardInterrupt:
            raise InterruptedDownload(
                f"interrupted: {self._kept()}",
                help=GOES_ON + " from there" * bool(self._done) if self._lasting else self._anew,
            ) from None
        finally:
            if self._hasher is not None:
                self._hasher.stop()
            if self._live is not None:
                self._live.end()
        self._tell("finishing")
        for note in self._destination.finish(sync=self._context.settings.sync):
            self._note(note)
        assert self._engine is not None
        return self._reporter.report(
            str(self._destination.path),
            resumed=self._resumed,
            reused=self._reused,
            fetched=self._fetched + self._brought,
            decoded=self._engine.decoded,
            files=self._destination.count,
            content=self._destination.content,
        )

    @property
    def _lasting(self) -> bool:
        return self._target.lasting and self._destination.lasting

    @property
    def _anew(self) -> str:
        return _BEGINS_ANEW if self._destination.lasting else STARTS_ANEW

    @property
    def unstable(self) -> bool:
        """Whether a source has another version or size than it had, and no piece has a hash.

        Then pieces cannot be put together; but one answer of HTTP is of one version.
        """
        target = self._target
        known = target.hashed or not target.whole
        served = all(scheme_of(source.url) in HTTP for source in target.sources)
        return not known and served and any(tally.changed for tally in self._reporter.tallies)

    # -- what is there already ------------------------------------------------------------

    def _recover(self) -> list[int]:
        """What an earlier run left, looked at again, and what older versions have."""
        good: list[int] = []
        if self._destination.resumed:
            good = self._destination.recover(self._checked)
            self._reporter.size = self._bytes_of(self._destination.pieces)
            self._base = self._bytes_of(good)
        for seed in self._seeds:
            good += self._take_from(seed, good)
        self._resumed = self._base
        return good

    def _take_from(self, seed: Seed, good: Collection[int]) -> list[int]:
        """Place what an older version has; the numbers of these pieces."""
        from regather.store.seeds import reuse

        layout, there = self._target.layout, set(good)
        missing = [n for n in self._destination.pieces if n not in there]
        found = reuse(seed, layout, missing, self._destination.place, self._checked)
        self._reused += self._bytes_of(found)
        self._base = self._bytes_of(there) + self._bytes_of(found)
        return found

    def _bytes_of(self, numbers: Collection[int]) -> int:
        layout = self._target.layout
        return sum(layout.length(*layout.locate(n)) for n in numbers if n < layout.data_pieces)

    # -- fetching -------------------------------------------------------------------------

    def _fetch(
        self, holdings: Sequence[frozenset[FragmentPosition] | None], good: Collection[int]
    ) -> Ending:
        """Fetch what is missing from sources with these holdings; ``good`` pieces are in place."""
        target, settings = self._target, self._context.settings
        self._fetched += self._brought
        self._base = self._bytes_of(good)
        planner = planner_of(
            target.layout,
            settings,
            holdings,
            good,
            self._destination.pieces,
            more_sources=self._held_back.any,
        )
        self._reporter.planner = planner
        if self._live is not None:
            self._live.found(good)
        self._engine = Engine(
            planner,
            target.layout,
            self._reporter.sources,
            self._destination,
            lambda url: open_connection(url, self._context.options),
            self._reporter.tallies,
            limiter=self._context.limiter,
            delivered=self._ledger.note if self._ledger is not None else None,
            observer=self._live,
        )
        if target.checksums:
            self._hasher = InOrderHasher(
                target.layout, self._destination, target.checksums, planner.is_done
            )
        ask = self._engine.add_source
        return self._engine.run(self._watch, more=lambda f: self._held_back.help_with(f, ask))

    # -- the file as a whole --------------------------------------------------------------

    def _check_whole(self) -> None:
        """Compare the hashes of the whole file; where they are wrong, find who has the right one.

        Raises WrongFile.
        """
        wrong = self._wrong()
        if not wrong:
            return
        if not self._target.layout.size:
            raise self._refuse(f"the sources have an empty file: {wrong}")
        if self._ledger is None:
            raise self._refuse(
                f"its pieces are right, but {wrong}: the piece hashes and the whole-file hash "
                "belong to different files"
            )
        if len(self._target.sources) > 1:
            self._note(f"{wrong}; looking for a mirror with the correct file")
        tried: list[int] = []
        found = {}
        for source in self._ledger.order():
            own = self._ledger.own(source, self._destination)
            if len(own) < self._target.layout.data_pieces:
                alone = self._only_from(source, own)
                if alone is None:
                    continue  # it cannot be had from there
                wrong = alone
            tried.append(source)
            if not wrong:
                self._blame(source)
                return
            found[source] = wrong
            if self._ledger.agreed(tried):
                break
        detail = "" if found else f" ({wrong})"
        raise self._refuse(f"no source has the requested file{detail}", found)

    def _untried(self, source: int) -> str:
        """What is known of a source whose file was not looked at alone."""
        assert self._ledger is not None
        if error := self._reporter.tallies[source].last_error:
            return f"not available: {error}"
        if self._ledger.sent(source):
            return "the same data in the pieces that it sent"
        return "was not tried"

    def _wrong(self) -> str:
        """What is wrong with the hash of the file that is now in place; empty: nothing."""
        assert self._hasher is not None
        actual = self._hasher.finish(lambda: self._watch("finishing"))
        for must, have in zip(self._target.checksums, actual, strict=True):
            if must.digest != have.digest:
                return f"{must.algorithm} is {have.digest.hex()}, must be {must.digest.hex()}"
        return ""

    def _only_from(self, source: int, own: list[int]) -> str | None:
        """Make it the file of one source; what is wrong with it then, None: it is not to be had."""
        if self._hasher is not None:
            self._hasher.stop()
        nothing: frozenset[FragmentPosition] = frozenset()
        holdings = [
            one.fragments if number == source else nothing
            for number, one in enumerate(self._reporter.sources)
        ]
        return None if self._fetch(holdings, own).missing else self._wrong()

    def _blame(self, right: int) -> None:
        """Say who sent something else than the source that proved right."""
        assert self._ledger is not None
        for source, count in self._ledger.differing(right).items():
            self._reporter.liars.add(source)
            what = f"has another file; it sent {counted(count, 'wrong piece')}"
            self._reporter.tallies[source].note_wrong(what, count)
            self._note(f"{self._target.sources[source].url} {what}, which other sources replaced")

    def _refuse(self, what: str, wrong: Mapping[int, str] | None = None) -> WrongFile:
        """The error for a file that is whole and wrong; a next run must not begin with it."""
        self._destination.discard()
        doubts = self._target.doubts
        return WrongFile(
            f"{self._destination.path.name}: {what}; nothing was kept",
            {
                source.url: (wrong.get(number) or self._untried(number))
                + (f" ({doubts[source.url]})" if source.url in doubts else "")
                for number, source in enumerate(self._target.sources)
                if wrong is not None
            },
        )

    # -- telling --------------------------------------------------------------------------

    def _note(self, line: str) -> None:
        self._reporter.notes.append(line)
        self._tell("downloading")

    def _checked(self, size: int) -> None:
        self._resumed += size
        self._base += size
        self._watch("checking")

    def _watch(self, phase: Phase = "downloading") -> None:
        self._tell(phase)
        if self._context.stopped:
            raise InterruptedDownload(
                f"stopped: {self._kept()}", help="" if self._lasting else self._anew
            )

    def _tell(self, phase: Phase) -> None:
        self._reporter.tell(phase, self._done, self._fetched + self._brought)

    def _kept(self) -> str:
        if not self._done:
            self._destination.discard()
            return "no whole piece was received, and nothing is kept"
        if not self._destination.lasting:
            return f"{format_size(self._done)} were received, and nothing was passed on"
        part = self._destination.part
        return f"{format_size(self._done)} of {format_size(self._reporter.size)} kept in {part}"
