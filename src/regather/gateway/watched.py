"""What the page of a gateway shows: its sources, its files, and what it keeps of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from weakref import WeakKeyDictionary

from regather.downloader.observed import Healths, Observed, condition_of, server_sample
from regather.downloader.progress import is_waiting
from regather.engine.steps import SteppedSession
from regather.engine.tally import SourceTally
from regather.gateway.catalogue import Catalogue
from regather.gateway.hosted import HostedFile
from regather.gateway.session_families import SessionFamilies
from regather.model import Source
from regather.names import without_secrets
from regather.page.event_log import EventLog
from regather.page.samples import CacheSample, FileSample, Outcome, Sample, ServerSample
from regather.server.status import ServerState
from regather.sources.download_target import DownloadTarget
from regather.store.disk_cache import DiskCache


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
        self._catalogue: Catalogue | None = None
        self._state = ServerState()
        self._disk: DiskCache | None = None

    def serves(self, catalogue: Catalogue, state: ServerState, disk: DiskCache | None) -> None:
        """What is served from now on."""
        self._catalogue, self._state, self._disk = catalogue, state, disk

    # -- SessionWatcher --------------------------------------------------------------------------

    def observer(self, hosted: HostedFile) -> Observed | None:
        """See SessionWatcher.observer."""
        if not self._has_page:
            return None
        view = self._views[hosted] = _View(hosted.recipe.target)
        view.observed = Observed(view.target, view.snapshot, view, self.events)
        return view.observed

    def follow(self, hosted: HostedFile, session: SteppedSession) -> None:
        """See SessionWatcher.follow."""
        self._sessions.follow(session)
        if view := self._views.get(hosted):
            view.session = session

    # -- Sampled --------------------------------------------------------------------------

    def sample(self) -> Sample:
        """See Sampled.sample."""
        hosted = [] if self._catalogue is None else list(self._catalogue.by_digest.values())
        totals = self._sessions.by_source()
        servers = {url: server_sample(tally) for url, tally in totals.items()}
        files = [self._file(one, servers) for one in hosted]
        received = sum(server.received for server in servers.values())
        useful = sum(server.useful for server in servers.values())
        sent, running = self._state.bytes_sent, self.outcome == "running"
        disk = self._disk
        return Sample(
            servers=list(servers.values()),
            files=files,
            received=received,
            sent=sent,
            readers=sum(one.readers for one in hosted),
            cache=CacheSample(disk.used, disk.limit, max(sent - useful, 0)) if disk else None,
            origin=received,
            size=sum(one.layout.size for one in hosted if one in self._views),
            activity="serving" if running else "",
            outcome=self.outcome,
            message="" if running else "The gateway has ended.",
        )

    def _file(self, hosted: HostedFile, servers: dict[str, ServerSample]) -> FileSample:
        """One file; what is known of its sources is added to ``servers``."""
        view = self._views.get(hosted) or _View(hosted.recipe.target)
        for source in view.sources:
            url = without_secrets(source.url)
            servers.setdefault(url, ServerSample(url))
        now = time.monotonic()
        for tally, health in zip(view.tallies, view.healths, strict=False):
            server = servers[without_secrets(tally.url)]
            server.connections += health.active
            server.latency = health.latency or server.latency
            condition = condition_of(
                tally.last_failure,
                corrupt=health.distrusted,
                failed=False,
                waiting=is_waiting(health, now),
            )
            if condition == "ok" and health.all_stalled:
                condition = "stalled"
            if server.condition == "ok":
                server.condition = condition
                server.pause = max(health.retry_at - now, 0.0)
        if view.observed is not None:
            sample = view.observed.sample()
            sample.servers = [without_secrets(url) for url in sample.servers]
        else:
            sample = FileSample(
                name=hosted.target.name,
                layout=hosted.layout,
                here=view.snapshot(),
                servers=[without_secrets(source.url) for source in view.sources],
                holdings=[source.fragments for source in view.sources],
            )
        return sample


class _View:
    """What a page sees of one file: Reported, from its last session on."""

    def __init__(self, target: DownloadTarget) -> None:
        self.target = target
        self.session: SteppedSession | None = None
        self.observed: Observed | None = None

    @property
    def sources(self) -> Sequence[Source]:
        """See Reported.sources."""
        return self.target.sources

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
            return bytes(self.target.layout.piece_count)
        return self.session.snapshot()
