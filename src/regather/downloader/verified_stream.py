"""A file in order, each piece verified before it is given: for pipes and programs that read on."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Self

from regather.downloader.held_back import HeldBack
from regather.downloader.progress import ProgressReporter
from regather.downloader.report import DownloadReport, Phase
from regather.downloader.run_context import RunContext
from regather.engine import Ending
from regather.engine.reader_room import PieceUnavailable
from regather.engine.streaming import StreamingSession
from regather.errors import UsageError
from regather.sources.download_target import DownloadTarget
from regather.sources.jobs import DownloadJob
from regather.transport import open_connection
from regather.units import format_size

_AGAIN = "the same command starts at the beginning"


class VerifiedStream:
    """The content of a hosted file, as an iterator of bytes. Close it, or use it in ``with``.

    Pieces come in order, and each is verified before it is given. Pieces behind are downloaded
    meanwhile, 48 MiB at most. Who reads slowly makes the sources wait.
    """

    def __init__(
        self,
        target: DownloadTarget,
        context: RunContext,
        *,
        on_wait: Callable[[], None] = lambda: None,
    ) -> None:
        """``on_wait`` is called about twice a second while a piece does not come."""
        layout = target.layout
        self.name = target.name
        """The file's own name; that of a folder without ``.tar``."""
        self.size = layout.size
        """Bytes in all."""
        self.digest = target.digest
        """Its identity, as ``regather info`` prints it."""
        self.given = 0
        """Bytes so far."""
        self._target = target
        self._context = context
        self._on_wait = on_wait
        self._reporter = ProgressReporter(target, context, target.name)
        self._held_back = held_back = HeldBack(target, self._reporter)
        self._session = StreamingSession(
            layout,
            self._reporter.sources,
            lambda url: open_connection(url, context.options),
            self._reporter.tallies,
            connections=context.settings.connections,
            retries=context.settings.retries,
            limiter=context.limiter,
            watch=self._watch,
            more=self._more if held_back.any else None,
        )
        self._reporter.planner = self._session.planner
        self._pieces = self._given()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        return next(self._pieces)

    def close(self) -> None:
        """End all connections and threads; done at the end of the file, too."""
        self._pieces.close()
        self._session.close()

    def report(self) -> DownloadReport:
        """What each source has contributed."""
        return self._reporter.report("-", fetched=self.given, decoded=self._session.decoded)

    def _given(self) -> Generator[bytes]:
        numbers = range(self._target.layout.data_pieces)
        try:
            for piece in self._session.in_order(numbers, lambda _: self._on_wait()):
                self.given += len(piece)
                yield piece
        except PieceUnavailable as error:
            fragment, _ = self._target.layout.locate(error.number)
            ending = Ending((fragment,), error.corrupt)
            raise self._reporter.not_whole(ending, self.told(), _AGAIN) from None
        finally:
            self._session.close()
        self._tell("finishing")

    def told(self) -> str:
        """How much was given, for people."""
        return f"{format_size(self.given)} of {format_size(self.size)} were passed on"

    def _more(self, fragments: Sequence[int]) -> bool:
        return self._held_back.help_with(fragments, self._session.add_source)

    def _watch(self) -> None:
        self._tell("downloading")
        self._reporter.look_for_stop(f"stopped: {self.told()}")

    def _tell(self, phase: Phase) -> None:
        self._reporter.tell(phase, self.given, self.given)


def check_streamable(job: DownloadJob, target: DownloadTarget) -> None:
    """Raise UsageError where nothing verified can be given before all of the file is there."""
    if target.folder is not None and (job.select or job.exclude):
        raise UsageError(
            f"{target.name}: a folder is streamed as a whole, as the tar that it is packed in",
            help="leave out --select and --exclude, or name a folder with -o",
        )
    if not target.hashed:
        raise UsageError(
            f"{target.name}: its pieces have no hashes, so nothing is verified before the end",
            help="name a file with -o, or download by a manifest: it has the hashes",
        )
    if any(not checksum.origin for checksum in target.checksums):
        raise UsageError(
            f"{target.name}: the checksum of the whole file is known to be right only at its end",
            help="name a file with -o, or leave the checksum out: the manifest verifies each "
            "piece, and --digest the manifest",
        )
