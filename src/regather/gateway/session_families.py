"""What a gateway counts of its files and sources, in the shape that monitoring collects."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Set

from regather.engine.session import Session
from regather.engine.tally import SourceTally, add_up
from regather.gateway.hosted import HostedFile
from regather.names import without_secrets
from regather.server.tallies import Family, single


class SessionFamilies:
    """Counts of all sessions of a gateway; what a session that has ended counted stays.

    For any thread.
    """

    def __init__(self, files: Callable[[], Set[HostedFile]]) -> None:
        self._files = files
        self._live: list[Session] = []
        self._ended: dict[str, SourceTally] = {}
        self._lock = threading.Lock()

    def follow(self, session: Session) -> None:
        """Count what a session does from now on."""
        with self._lock:
            self._live.append(session)

    def by_source(self) -> dict[str, SourceTally]:
        """What each source brought and cost, by its address as it may be shown."""
        totals: dict[str, SourceTally] = {}
        with self._lock:
            for session in [one for one in self._live if one.ended.is_set()]:
                self._live.remove(session)
                add_up(session.tallies, self._ended, without_secrets)
            add_up(self._ended.values(), totals)
            for session in self._live:
                add_up(session.tallies, totals, without_secrets)
        return totals

    def families(self) -> Iterator[Family]:
        """See Tallied."""
        totals = self.by_source().values()
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
            {(one.url,): one.received for one in totals},
            by_source,
        )
        yield Family(
            "regather_source_useful_bytes",
            "counter",
            "Bytes of verified pieces that a source was the first to send.",
            {(one.url,): one.useful for one in totals},
            by_source,
        )
        yield Family(
            "regather_source_wrong_pieces",
            "counter",
            "Pieces of a source whose hash was wrong.",
            {(one.url,): one.corrupt for one in totals},
            by_source,
        )
        yield Family(
            "regather_source_errors",
            "counter",
            "Requests to a source that failed, by reason.",
            {
                (one.url, kind.replace(" ", "_")): count
                for one in totals
                for kind, count in one.kinds.items()
            },
            ("source", "reason"),
        )
