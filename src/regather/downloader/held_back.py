"""Sources that are asked only where the others are not enough."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from msgspec.structs import replace

from regather.downloader.progress import ProgressReporter
from regather.engine import SourceTally
from regather.model import FragmentPosition, Source
from regather.sources.download_target import DownloadTarget


class HeldBack:
    """Knows which sources of a target wait; tells the reporter of those that do not."""

    def __init__(self, target: DownloadTarget, reporter: ProgressReporter) -> None:
        first = target.first or len(target.sources)
        for source in target.sources[:first]:
            reporter.add(source)
        self._reporter = reporter
        self._sources = target.sources[first:]
        self._asked: frozenset[FragmentPosition] = frozenset()
        """The fragments for which they are asked."""

    @property
    def any(self) -> bool:
        """Whether there are such sources."""
        return bool(self._sources)

    def help_with(
        self, fragments: Sequence[int], ask: Callable[[Source, SourceTally], object]
    ) -> bool:
        """Ask them for fragments (positions) that the others cannot send; whether some may help."""
        new = frozenset(map(FragmentPosition, fragments)) - self._asked
        self._asked |= new
        useful = [
            replace(source, fragments=held)
            for source in self._sources
            if (held := new if source.fragments is None else new & source.fragments)
        ]
        for source in useful:
            ask(source, self._reporter.add(source))
        return bool(useful)
