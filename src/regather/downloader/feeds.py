"""What feeds a stream: a session that reads in order, or a file that was received whole first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from regather.digest import new_hasher
from regather.downloader.download_run import STARTS_ANEW, DownloadRun
from regather.downloader.held_back import HeldBack
from regather.downloader.progress import ProgressReporter
from regather.downloader.report import DownloadReport
from regather.downloader.run_context import RunContext
from regather.engine import Ending
from regather.engine.reader_room import PieceUnavailable
from regather.engine.streaming import StreamingSession
from regather.errors import VerificationError
from regather.sources.download_target import DownloadTarget
from regather.transport import open_connection
from regather.units import format_size


class SessionFeed:
    """Pieces as they come, in order."""

    def __init__(
        self,
        target: DownloadTarget,
        context: RunContext,
        spool: int,
        on_wait: Callable[[], None],
    ) -> None:
        """``on_wait`` is called about twice a second while a piece does not come."""
        self._target = target
        self._on_wait = on_wait
        self._given = 0
        self._reporter = ProgressReporter(target, context, target.name)
        self._held_back = HeldBack(target, self._reporter)
        self._session = StreamingSession(
            target.layout,
            self._reporter.sources,
            lambda url: open_connection(url, context.options),
            self._reporter.tallies,
            connections=context.settings.connections,
            retries=context.settings.retries,
            limiter=context.limiter,
            watch=self._watch,
            more=self._more if self._held_back.any else None,
            spool=spool,
        )
        self._reporter.planner = self._session.planner

    def runs(self) -> Iterator[list[memoryview]]:
        """The file in order, as verified pieces that are right until the next are asked for.

        The last one is held back until the checksums of a metalink are right.
        """
        target = self._target
        numbers = range(target.layout.data_pieces)
        hashers = [new_hasher(checksum.algorithm) for checksum in target.checksums]
        try:
            for run in self._session.in_order(numbers, lambda _: self._on_wait()):
                for hasher in hashers:
                    for piece in run:
                        hasher.update(piece)
                given = self._given + sum(map(len, run))
                if given == target.layout.size:
                    self._compare([hasher.digest() for hasher in hashers])
                self._given = given
                yield run
        except PieceUnavailable as error:
            fragment, _ = target.layout.locate(error.number)
            ending = Ending((fragment,), error.corrupt)
            raise self._reporter.not_whole(ending, self._passed_on(), STARTS_ANEW) from None
        finally:
            self._session.close()
        self._reporter.tell("finishing", self._given, self._given)

    def _compare(self, found: Sequence[bytes]) -> None:
        for must, have in zip(self._target.checksums, found, strict=True):
            if must.digest != have:
                raise VerificationError(
                    f"{self._target.name}: its pieces are right, but {must.algorithm} is "
                    f"{have.hex()}, must be {must.digest.hex()}; {self._passed_on()}",
                    help="ask whoever publishes it for hashes that belong together",
                )

    def report(self) -> DownloadReport:
        """What each source has contributed."""
        return self._reporter.report("-", fetched=self._given, decoded=self._session.decoded)

    def close(self) -> None:
        """End all connections and threads."""
        self._session.close()

    def _passed_on(self) -> str:
        return passed_on(self._given, self._target.layout.size)

    def _more(self, fragments: Sequence[int]) -> bool:
        return self._held_back.help_with(fragments, self._session.add_source)

    def _watch(self) -> None:
        self._reporter.tell("downloading", self._given, self._given)
        self._reporter.look_for_stop(f"stopped: {self._passed_on()}")


def passed_on(given: int, size: int) -> str:
    """How much was given, for people."""
    return f"{format_size(given)} of {format_size(size)} were passed on"


class SpoolFeed:
    """A file that was received whole, and verified, before its first byte is given."""

    def __init__(self, target: DownloadTarget, context: RunContext) -> None:
        """Receive it; raises what DownloadRun.to_the_end does."""
        from regather.store.spooled import SpooledFile  # few need it

        self._file = SpooledFile(target.name, target.layout, target.identity)
        try:
            self._report = DownloadRun(target, self._file, context).to_the_end()
        except BaseException:
            self._file.close()
            raise

    def runs(self) -> Iterator[list[memoryview]]:
        """See SessionFeed."""
        try:
            for number in range(self._file.layout.data_pieces):
                yield [self._file.whole(number)]
        finally:
            self._file.close()

    def report(self) -> DownloadReport:
        """See SessionFeed."""
        return self._report

    def close(self) -> None:
        """See SessionFeed."""
        self._file.close()
