"""What a gateway counts of its files and sources, in the shape that monitoring collects."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set

from regather.engine.session import Session
from regather.engine.tally import SourceTally
from regather.gateway.hosted import HostedFile
from regather.server.tallies import Family, Labels, single


def shown(url: str) -> str:
    """The address of a source as it is told: a query may be a signature."""
    return url.partition("?")[0]


class _SourceTotals:
    """Counts of sources, by their addresses."""

    def __init__(self) -> None:
        self.received: Counter[Labels] = Counter()
        self.useful: Counter[Labels] = Counter()
        self.wrong: Counter[Labels] = Counter()
        self.errors: Counter[Labels] = Counter()

    def add(self, tallies: Sequence[SourceTally]) -> None:
        """Add those of one session."""
        for tally in tallies:
            source = shown(tally.url)
            self.received[(source,)] += tally.received
            self.useful[(source,)] += tally.useful
            self.wrong[(source,)] += tally.corrupt
            for kind, count in list(tally.kinds.items()):
                self.errors[source, kind.replace(" ", "_")] += count

    def copy(self) -> _SourceTotals:
        """The same, to be added to."""
        other = _SourceTotals()
        for name, counts in vars(self).items():
            getattr(other, name).update(counts)
        return other


class SessionFamilies:
    """Counts of all sessions of a gateway; what a session that has ended counted stays.

    For any thread.
    """

    def __init__(self, files: Callable[[], Set[HostedFile]]) -> None:
        self._files = files
        self._live: list[Session] = []
        self._ended = _SourceTotals()
        self._lock = threading.Lock()

    def follow(self, session: Session) -> None:
        """Count what a session does from now on."""
        with self._lock:
            self._live.append(session)

    def _totals(self) -> _SourceTotals:
        with self._lock:
            for session in [one for one in self._live if one.ended.is_set()]:
                self._live.remove(session)
                self._ended.add(session.tallies)
            totals = self._ended.copy()
            for session in self._live:
                totals.add(session.tallies)
        return totals

    def by_source(self) -> Iterator[tuple[str, int, int, int, dict[str, int]]]:
        """Of each source: address, bytes received, useful ones, wrong pieces, errors by reason."""
        totals = self._totals()
        for labels in totals.received:
            errors = {kind: n for (url, kind), n in totals.errors.items() if url == labels[0]}
            yield (
                labels[0],
                totals.received[labels],
                totals.useful[labels],
                totals.wrong[labels],
                errors,
            )

    def families(self) -> Iterator[Family]:
        """See Tallied."""
        totals = self._totals()
        files = self._files()
        yield Family(
            "regather_gateway_files", "gauge", "Files that are served.", single(len(files))
        )
        yield Family(
            "regather_gateway_readers",
            "gauge",
            "Answers that are being sent out of files.",
            single(sum(one.readers for one in files)),
        )
        by_source = ("source",)
        yield Family(
            "regather_source_received_bytes",
            "counter",
            "Bytes that a source sent, wanted or not.",
            totals.received,
            by_source,
        )
        yield Family(
            "regather_source_useful_bytes",
            "counter",
            "Bytes of verified pieces that a source was the first to send.",
            totals.useful,
            by_source,
        )
        yield Family(
            "regather_source_wrong_pieces",
            "counter",
            "Pieces of a source whose hash was wrong.",
            totals.wrong,
            by_source,
        )
        yield Family(
            "regather_source_errors",
            "counter",
            "Requests to a source that failed, by reason.",
            totals.errors,
            ("source", "reason"),
        )
