"""What a gateway counts of its files and sources, in the shape that monitoring collects."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Set
from weakref import WeakKeyDictionary

from regather.coding.survival import survival
from regather.engine.steps import SteppedSession
from regather.engine.tally import SourceTally, add_up
from regather.gateway.hosted import HostedFile
from regather.names import without_secrets
from regather.server.tallies import Family, single
from regather.store.memory_budget import MemoryBudget

_Holders = tuple[frozenset[int], ...]
"""By fragment: the numbers of the sources that have it and answer."""


class SessionFamilies:
    """Counts of all sessions of a gateway; what a session that has ended counted stays.

    For any thread.
    """

    def __init__(self, files: Callable[[], Set[HostedFile]], memory: MemoryBudget) -> None:
        self._files = files
        self._memory = memory
        self._spare: WeakKeyDictionary[HostedFile, tuple[_Holders, int]] = WeakKeyDictionary()
        """What was counted last, and of whom."""
        self._live: list[SteppedSession] = []
        self._ended: dict[str, SourceTally] = {}
        self._pieces: Counter[str] = Counter()
        """Those of sessions that have ended, and their hedges."""
        self._lock = threading.Lock()

    def follow(self, session: SteppedSession) -> None:
        """Count what a session does from now on."""
        with self._lock:
            self._live.append(session)

    def by_source(self) -> dict[str, SourceTally]:
        """What each source brought and cost, by its address as it may be shown."""
        totals: dict[str, SourceTally] = {}
        with self._lock:
            for session in [one for one in self._live if one.ended.is_set()]:
                self._live.remove(session)
                self._pieces += _pieces_of(session)
                add_up(session.tallies, self._ended, without_secrets)
            add_up(self._ended.values(), totals)
            for session in self._live:
                add_up(session.tallies, totals, without_secrets)
        return totals

    def _pieces_now(self) -> Counter[str]:
        with self._lock:
            return sum(map(_pieces_of, self._live), start=self._pieces.copy())

    def _spare_servers(self, hosted: HostedFile) -> int:
        """How many more servers can fail; -1 where something is lost."""
        sources, session = hosted.target.sources, hosted.live
        up = set(range(len(sources)))
        refused: list[Set[int]] = [set() for _ in sources]
        if session is not None:
            up = {number for number, is_up in enumerate(session.up) if is_up}
            refused = [tally.refused.keys() for tally in list(session.tallies)]
        holders = tuple(
            frozenset(
                n
                for n, (source, without) in enumerate(zip(sources, refused, strict=False))
                if n in up and f not in without and f in (source.fragments or ())
            )
            for f in range(len(hosted.layout.fragments))
        )
        known = self._spare.get(hosted)
        if known is None or known[0] != holders:
            self._spare[hosted] = known = holders, survival(hosted.layout, holders).failures
        return known[1]

    def _by_source_now(self) -> Iterator[Family]:
        """The state of each source, over all files that it has."""
        up: dict[tuple[str, ...], int] = {}
        paused: dict[tuple[str, ...], int] = {}
        connections: Counter[tuple[str, ...]] = Counter()
        with self._lock:
            live = list(self._live)
        now = time.monotonic()
        for session in live:
            healths = list(session.healths)
            for tally, health, is_up in zip(
                list(session.tallies), healths, session.up, strict=False
            ):
                url = (without_secrets(tally.url),)
                up[url] = max(up.get(url, 0), is_up)
                paused[url] = min(paused.get(url, 1), health.retry_at > now)
                connections[url] += health.active
        for name, text, values in (
            ("up", "Whether the last requests to a source succeeded.", up),
            ("paused", "Whether a source is asked again after a pause only.", paused),
            ("connections", "Requests that are in flight to a source.", connections),
        ):
            yield Family(f"regather_source_{name}", "gauge", text, values, ("source",))

    def families(self) -> Iterator[Family]:
        """See Tallied."""
        totals = self.by_source().values()
        files = self._files()
        pieces = self._pieces_now()
        for name, value, text in (
            ("size", self._memory.used, "Bytes of pieces in memory, or reserved for them."),
            ("max_size", self._memory.limit, "The limit of these bytes."),
        ):
            yield Family(f"regather_memory_{name}_bytes", "gauge", text, single(value))
        yield Family(
            "regather_pieces",
            "counter",
            "Pieces that clients asked for: there already (hit), or not (miss).",
            {("hit",): pieces["hit"], ("miss",): pieces["miss"]},
            ("result",),
        )
        yield Family(
            "regather_decoded_rows",
            "counter",
            "Rows that were computed from parity.",
            single(pieces["decoded"]),
        )
        yield Family(
            "regather_hedged_requests",
            "counter",
            "Requests for a piece of a slow source: won if they delivered it first.",
            {("won",): pieces["won"], ("lost",): pieces["lost"]},
            ("result",),
        )
        yield Family(
            "regather_file_spare_servers",
            "gauge",
            "How many more servers can fail; -1 where something is lost.",
            {
                (one.file.name, one.digest): self._spare_servers(one)
                for one in files
                if all(source.fragments is not None for source in one.target.sources)
            },
            ("file", "digest"),
        )
        yield from self._by_source_now()
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


def _pieces_of(session: SteppedSession) -> Counter[str]:
    found, wanted = session.found, session.wanted
    won, lost = session.hedges
    return Counter(
        hit=found, miss=max(wanted - found, 0), decoded=session.decoded, won=won, lost=lost
    )
