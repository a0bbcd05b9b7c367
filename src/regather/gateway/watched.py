"""What the page of a gateway shows: its sources, its files, and what it keeps of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from urllib.parse import quote
from weakref import WeakKeyDictionary

from regather.downloader.observed import Healths, Observed, judge, server_sample
from regather.downloader.progress import state_of
from regather.downloader.report import RateMeter
from regather.engine.steps import SteppedSession
from regather.engine.tally import SourceTally
from regather.gateway.catalogue import Catalogue
from regather.gateway.hosted import HostedFile, Response
from regather.gateway.session_families import SessionFamilies
from regather.names import without_secrets
from regather.page.event_log import EventLog
from regather.page.samples import (
    MOST_FILES,
    MOST_TRANSFERS,
    CacheSample,
    FileSample,
    Outcome,
    Sample,
    ServerSample,
    TransferSample,
)
from regather.server.status import ServerState
from regather.store.disk_cache import DiskCache

_PATIENCE = 0.5
"""Seconds after which it is worth a word that a response waits."""


class WatchedGateway:
    """A SessionWatcher of all sessions of a gateway, and the Sampled of its page."""

    def __init__(self, sessions: SessionFamilies, *, has_page: bool) -> None:
        """Without a page, what sources do is only counted, in ``sessions``."""
        self.events = EventLog()
        self.outcome: Outcome = "running"
        self._sessions = sessions
        self._has_page = has_page
        self._views: WeakKeyDictionary[HostedFile, _View] = WeakKeyDictionary()
        """What was seen of files that were read, for as long as they are served."""
        self._meters: dict[Response, RateMeter] = {}
        """Of the responses that were shown last."""
        self._catalogue: Catalogue | None = None
        self._state = ServerState()
        self._disk: DiskCache | None = None
        self.url = ""
        """The address of the gateway, for links; empty before it listens."""

    @property
    def manifests(self) -> list[str]:
        """The paths and URLs of the manifests that are served."""
        return [] if self._catalogue is None else self._catalogue.manifests

    def serves(self, catalogue: Catalogue, state: ServerState, disk: DiskCache | None) -> None:
        """What is served from now on."""
        self._catalogue, self._state, self._disk = catalogue, state, disk

    # -- SessionWatcher --------------------------------------------------------------------------

    def observer(self, hosted: HostedFile) -> Observed | None:
        """See SessionWatcher.observer."""
        if not self._has_page:
            return None
        view = self._views[hosted] = _View(hosted)
        view.observed = Observed(hosted.recipe.target, view.snapshot, view, self.events)
        return view.observed

    def follow(self, hosted: HostedFile, session: SteppedSession) -> None:
        """See SessionWatcher.follow."""
        self._sessions.follow(session)
        if view := self._views.get(hosted):
            view.session = session

    # -- Sampled --------------------------------------------------------------------------

    def sample(self) -> Sample:
        """See Sampled.sample."""
        # The event loop changes these while this thread looks: it looks at copies.
        hosted = [] if self._catalogue is None else list(self._catalogue.by_digest.values())
        responses = {one: list(one.responses) for one in hosted}
        now = time.monotonic()
        totals = self._sessions.by_source()
        servers = {url: server_sample(tally) for url, tally in totals.items()}
        shown = self._shown(hosted, responses)
        views = [self._views.get(one) or _View(one) for one in shown]
        for view in views:
            for url in view.urls:
                servers.setdefault(url, ServerSample(url))
        for one in hosted:
            if read := self._views.get(one):
                read.judge(servers, now)
        received = sum(server.received for server in servers.values())
        useful = sum(server.useful for server in servers.values())
        sent, running = self._state.bytes_sent, self.outcome == "running"
        disk, readers = self._disk, sum(map(len, responses.values()))
        transfers = self._transfers(responses, now)
        files = [view.sample() for view in views]
        if self.url:
            for file, one in zip(files, shown, strict=True):
                file.link = f"{self.url}d/{one.digest}/{quote(one.file.name, safe='')}?download"
        return Sample(
            servers=list(servers.values()),
            files=files,
            more_files=len(hosted) - len(shown),
            transfers=transfers,
            more_transfers=readers - len(transfers),
            received=received,
            sent=sent,
            readers=readers,
            cache=CacheSample(disk.used, disk.limit, max(sent - useful, 0)) if disk else None,
            origin=received,
            size=sum(one.layout.size for one in hosted if one in self._views),
            activity="serving" if running else "",
            outcome=self.outcome,
            message="" if running else "The gateway has ended.",
        )

    def _shown(
        self, hosted: Sequence[HostedFile], responses: dict[HostedFile, list[Response]]
    ) -> list[HostedFile]:
        """The files that are shown: if there are too many, those that were read last."""
        for one in hosted:
            if responses[one] and (view := self._views.get(one)):
                view.read_at = time.monotonic()
        if len(hosted) <= MOST_FILES:
            return list(hosted)

        def read_at(one: HostedFile) -> float:
            view = self._views.get(one)
            return view.read_at if view else 0.0

        latest = set(sorted(hosted, key=read_at, reverse=True)[:MOST_FILES])
        return [one for one in hosted if one in latest]

    def _transfers(
        self, responses: dict[HostedFile, list[Response]], now: float
    ) -> list[TransferSample]:
        every: Iterable[tuple[HostedFile, Response]] = chain.from_iterable(
            ((hosted, one) for one in some) for hosted, some in responses.items()
        )
        shown = list(islice(every, MOST_TRANSFERS))
        self._meters = {one: self._meters.get(one) or RateMeter() for _, one in shown}
        found = []
        for hosted, one in shown:
            rate = self._meters[one].read(now, one.sent)
            waits = ""
            if one.since and now - one.since > _PATIENCE:
                waits = "waits for its client"
                if one.piece >= 0:
                    fragment = hosted.layout.locate(one.piece)[0]
                    index = hosted.layout.fragments[fragment].index
                    waits = f"waits for a piece of fragment {index}"
            found.append(
                TransferSample(
                    name=one.name,
                    size=one.size,
                    done=one.sent,
                    rate=rate,
                    left=(one.size - one.sent) / rate if rate else None,
                    phase="sending",
                    waits=waits,
                    seconds=now - one.began,
                )
            )
        return found


class _View:
    """What a page sees of one file: Reported, from its last session on."""

    def __init__(self, hosted: HostedFile) -> None:
        self._layout = hosted.layout
        self._name = hosted.target.name
        self._retries = hosted.recipe.settings.retries
        self.sources = hosted.recipe.target.sources
        """See Reported.sources."""
        self.urls = [without_secrets(source.url) for source in self.sources]
        """Of the sources, as they may be shown."""
        self.session: SteppedSession | None = None
        self.observed: Observed | None = None
        self.read_at = 0.0
        """When somebody was last seen to read it."""

    @property
    def tallies(self) -> Sequence[SourceTally]:
        """See Reported.tallies."""
        return [] if self.session is None else list(self.session.tallies)

    @property
    def healths(self) -> Healths:
        """See Reported.healths."""
        return [] if self.session is None else list(self.session.healths)

    def snapshot(self) -> bytes:
        """By the running number of a piece, 1 where it is kept now."""
        if self.session is None:
            return bytes(self._layout.piece_count)
        return self.session.snapshot()

    def judge(self, servers: dict[str, ServerSample], now: float) -> None:
        """Add what is known of its sources to ``servers``."""
        known = zip(self.urls, self.sources, self.tallies, self.healths, strict=False)
        for url, source, tally, health in known:
            server = servers.setdefault(url, ServerSample(url))
            server.connections += health.active
            server.latency = health.latency or server.latency
            held = self._layout.fragments if source.fragments is None else source.fragments
            judge(
                server,
                state_of(health, len(held), self._retries, now),
                tally,
                failures=health.failures,
                pause=max(health.retry_at - now, 0.0),
                stalled=health.all_stalled,
            )

    def sample(self) -> FileSample:
        """The file now."""
        if self.observed is not None:
            sample = self.observed.sample()
            sample.servers = self.urls
            return sample
        return FileSample(
            name=self._name,
            layout=self._layout,
            here=self.snapshot(),
            servers=self.urls,
            holdings=[source.fragments for source in self.sources],
        )
