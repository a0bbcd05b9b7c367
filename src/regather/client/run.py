"""One download from the first look at the manifest to the finished file."""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from regather.client.asking import FEW_RETRIES, GOES_ON, Asking, asking_progress
from regather.client.report import (
    DownloadReport,
    Progress,
    RateMeter,
    SourceProgress,
    SourceReport,
    State,
)
from regather.client.resolve import Target, resolve_fragments, resolve_manifest
from regather.engine import Ending, Engine
from regather.errors import (
    InterruptedDownload,
    NotEnoughSourcesError,
    RegatherError,
    UsageError,
    VerificationError,
)
from regather.limiter import RateLimiter
from regather.model import Layout
from regather.planner import Options, Planner
from regather.store import Destination, check_destination
from regather.transport import Credentials, HttpOptions, is_url, open_connection
from regather.units import format_size

OnProgress = Callable[[Progress], None]
_SHOWN_MISSING = 20
_MAX_BUFFERS = 256 << 20
"""Bytes of memory for pieces in flight, whatever piece size a manifest asks for."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to download; every field has a default that suits most."""

    connections: int = 8
    """Most connections to one source."""
    timeout: float = 15.0
    """Seconds without a byte after which a request has failed."""
    connect_timeout: float = 5.0
    retries: int = 5
    """Failures in a row after which a source is not waited for any longer."""
    limit_rate: int | None = None
    """Bytes a second over all sources."""
    cacert: str | None = None
    """A file of certificate authorities to trust instead of the system's."""
    sync: bool = True
    """Whether to make the file durable before it gets its name."""
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False, hash=False)
    """Tokens by ``HOST`` or ``HOST:PORT``, sent there and nowhere else; before those of the
    environment and of ~/.netrc."""

    def __post_init__(self) -> None:
        for name in ("connections", "timeout", "connect_timeout", "limit_rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UsageError(f"{name} must be more than 0, not {value}")
        if self.retries < 0:
            raise UsageError(f"retries must not be negative: {self.retries}")


def download(
    source: str | None = None,
    dest: str | Path | None = None,
    *,
    fragments: Sequence[str] = (),
    servers: Sequence[str] = (),
    digest: str = "",
    force: bool = False,
    settings: Settings | None = None,
    on_progress: OnProgress | None = None,
    stop: threading.Event | None = None,
) -> DownloadReport:
    """Download one file from all its sources at once; verified, resumable, atomic.

    ``source`` is a manifest (path or URL). Instead, ``fragments`` may list the URLs of plain
    fragments in order: then nothing can be verified. With a manifest, ``fragments`` are further
    places of its fragments, told apart by their names. ``servers`` are further sources (URL,
    HOST:PORT or folder). ``dest`` is a file or an existing folder; by default the file's own name
    in the current folder. ``digest`` pins the file's identity. ``on_progress`` is called in this
    thread about ten times a second. ``stop``, when set, ends the download, resumably.

    Raises UsageError, ManifestError, VerificationError, NotEnoughSourcesError, StorageError or
    InterruptedDownload. After any error what was verified is kept beside ``dest``, and the same
    call goes on from there.
    """
    settings = settings or Settings()
    began = time.monotonic()
    if source is None and not fragments:
        raise UsageError("give either a manifest or a list of fragments")
    if digest and not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise UsageError(
            f"not a digest: {digest!r}", help="give all 64 hexadecimal digits, as split prints them"
        )
    if source is None and (servers or digest):
        raise UsageError(
            "servers and a digest need a manifest", help="plain fragments have nothing to check by"
        )
    options = http_options(settings)
    if dest is not None and not Path(dest).is_dir():
        check_destination(Path(dest), force=force)
    retries = settings.retries if source is None else min(settings.retries, FEW_RETRIES)
    asking = Asking(
        options,
        retries=retries,
        stop=stop,
        watch=on_progress
        and (lambda asked: on_progress(asking_progress(asked, retries, time.monotonic() - began))),
    )
    if source is not None:
        target = resolve_manifest(source, servers, asking, digest, fragments)
    else:
        target = resolve_fragments(fragments, asking)
    path = Path(dest) if dest is not None else Path(target.name)
    if dest is not None and path.is_dir():
        path /= target.name
    destination: Destination | None = None
    try:
        destination = Destination(path, target.layout, target.identity, force=force)
        run = _Run(target, destination, settings, options, on_progress, stop, began)
        return run.to_the_end()
    except KeyboardInterrupt:  # at the edges of the download itself
        raise InterruptedDownload("interrupted", help=f"{GOES_ON} from there") from None
    finally:
        if destination is not None:
            destination.close()


async def adownload(
    source: str | None = None,
    dest: str | Path | None = None,
    *,
    fragments: Sequence[str] = (),
    servers: Sequence[str] = (),
    digest: str = "",
    force: bool = False,
    settings: Settings | None = None,
    on_progress: OnProgress | None = None,
) -> DownloadReport:
    """``download`` for asyncio: the same engine in a thread; ``on_progress`` runs in the loop.

    Cancelling the task ends the download, resumably, before the cancellation goes on.
    """
    import asyncio  # costs as much as all else here, and most callers never need it

    loop = asyncio.get_running_loop()
    stop = threading.Event()
    relay: OnProgress | None = None
    if on_progress is not None:
        callback = on_progress

        def relay(progress: Progress) -> None:
            loop.call_soon_threadsafe(callback, progress)

    work = asyncio.ensure_future(
        asyncio.to_thread(
            download,
            source,
            dest,
            fragments=fragments,
            servers=servers,
            digest=digest,
            force=force,
            settings=settings,
            on_progress=relay,
            stop=stop,
        )
    )
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([work])
        if not work.cancelled():
            work.exception()  # seen: it is the interruption
        raise


def http_options(settings: Settings) -> HttpOptions:
    """What all connections share. Raises UsageError where a file that is named is unusable."""
    options = HttpOptions(
        settings.connect_timeout,
        settings.timeout,
        credentials=Credentials.gather(settings.tokens),
    )
    if settings.cacert is None:
        return options
    import ssl

    try:
        context = ssl.create_default_context(cafile=settings.cacert)
    except OSError as error:
        raise UsageError(f"{settings.cacert}: not usable as --cacert ({error})") from None
    return replace(options, tls=lambda: context)


def _max_requests(layout: Layout) -> int:
    """How many requests may be in flight: each has a buffer of one piece. At least 2."""
    fitting = _MAX_BUFFERS // max(layout.largest_piece, 1)
    return max(2, min(Options().max_requests, fitting))


class _Run:
    """The part of a download that has a destination open."""

    def __init__(
        self,
        target: Target,
        destination: Destination,
        settings: Settings,
        options: HttpOptions,
        on_progress: OnProgress | None,
        stop: threading.Event | None,
        began: float,
    ) -> None:
        self._target = target
        self._destination = destination
        self._settings = settings
        self._on_progress = on_progress
        self._stop = stop
        self._began = began
        self._resumed = 0
        self._meter = RateMeter()
        self._meters = [RateMeter() for _ in target.sources]
        self._planner = Planner(
            target.layout,
            [s.fragments for s in target.sources],
            Options(
                connections=settings.connections,
                max_requests=_max_requests(target.layout),
                retries=settings.retries,
            ),
            random.Random(),
        )
        self._engine = Engine(
            self._planner,
            target.layout,
            target.sources,
            destination,
            lambda url: open_connection(url, options),
            limiter=RateLimiter(settings.limit_rate, began) if settings.limit_rate else None,
        )

    def to_the_end(self) -> DownloadReport:
        layout = self._target.layout
        if self._destination.resumed:
            good = self._destination.recover(self._checked)
            self._resumed = sum(
                layout.length(*layout.locate(number))
                for number in good
                if number < layout.data_pieces
            )
            self._planner.already_done(layout.locate(number) for number in good)
        try:
            ending = self._engine.run(self._watch)
        except KeyboardInterrupt:
            raise InterruptedDownload(
                f"interrupted: {self._kept()}", help=f"{GOES_ON} from there"
            ) from None
        if ending.missing:
            raise self._not_whole(ending)
        self._tell("finishing")
        self._destination.finish(sync=self._settings.sync)
        return self._report()

    def _checked(self, size: int) -> None:
        self._resumed += size
        self._tell("checking")
        self._look_for_stop()

    def _watch(self) -> None:
        self._tell("downloading")
        self._look_for_stop()

    def _look_for_stop(self) -> None:
        if self._stop is not None and self._stop.is_set():
            raise InterruptedDownload(f"stopped: {self._kept()}")

    def _kept(self) -> str:
        have = self._resumed + self._engine.done_bytes
        if not have:
            self._destination.discard()
            return "nothing was received"
        part = self._destination.part
        return f"{format_size(have)} of {format_size(self._target.layout.size)} are kept in {part}"

    # -- telling --------------------------------------------------------------------------

    def _state(self, source: int) -> State:
        health = self._planner.sources[source]
        layout = self._target.layout
        held = self._target.sources[source].fragments
        if health.distrusted:
            return "corrupt"
        if len(health.absent) == (len(layout.fragments) if held is None else len(held)):
            return "unused"
        if health.failures > self._settings.retries:
            return "failed"
        if health.failures and self._planner.pieces_left:
            return "waiting"
        return "active" if health.active else "idle"

    def _tell(self, phase: str) -> None:
        if self._on_progress is None:
            return
        now = time.monotonic()
        done = self._resumed + self._engine.done_bytes
        rate = self._meter.read(now, self._engine.done_bytes)
        left = self._target.layout.size - done
        self._on_progress(
            Progress(
                phase=phase,  # type: ignore[arg-type]
                name=self._destination.path.name,
                size=self._target.layout.size,
                done=done,
                rate=rate,
                eta=left / rate if rate else None,
                seconds=now - self._began,
                sources=tuple(
                    SourceProgress(
                        url=source.url,
                        state=self._state(i),
                        received=tally.received,
                        rate=self._meters[i].read(now, tally.received),
                        connections=self._planner.sources[i].active,
                        errors=tally.errors,
                        failures=self._planner.sources[i].failures,
                        last_error=tally.last_error,
                    )
                    for i, (source, tally) in enumerate(
                        zip(self._target.sources, self._engine.tallies, strict=True)
                    )
                ),
                retries=self._settings.retries,
            )
        )

    def _report(self) -> DownloadReport:
        seconds = max(time.monotonic() - self._began, 1e-9)
        tallies = self._engine.tallies
        placed = max(sum(t.useful for t in tallies), 1)
        return DownloadReport(
            path=str(self._destination.path),
            name=self._target.name,
            size=self._target.layout.size,
            digest=self._target.digest,
            verified=bool(self._target.digest),
            resumed=self._resumed,
            received=sum(t.received for t in tallies),
            seconds=seconds,
            rate=self._engine.done_bytes / seconds,
            decoded=self._engine.decoded,
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
                    state=self._state(i),
                )
                for i, (source, tally) in enumerate(zip(self._target.sources, tallies, strict=True))
            ),
        )

    def _not_whole(self, ending: Ending) -> RegatherError:
        fragments = [self._target.layout.fragments[f] for f in ending.missing]
        details = []
        for position, fragment in zip(ending.missing[:_SHOWN_MISSING], fragments, strict=False):
            places = []
            for i, source in enumerate(self._target.sources):
                if source.fragments is not None and position not in source.fragments:
                    continue
                tally = self._engine.tallies[i]
                why = tally.refused.get(position) or tally.last_error or "was not asked"
                places.append(f"{source.url} ({why})")
            details.append(f"{fragment.name}: expected at {', '.join(places) or 'no source'}")
        if len(fragments) > _SHOWN_MISSING:
            details.append(f"and {len(fragments) - _SHOWN_MISSING} more")
        count = len(self._target.layout.fragments)
        what = f"{len(fragments)} of {count} fragments could not be had in full; {self._kept()}"
        if ending.corrupt:
            return VerificationError(
                f"wrong bytes from a source, and no other has them: {what}",
                help="repair that source or add another with --server, then run it again",
                details=tuple(details),
            )
        remote = any(is_url(s.url) for s in self._target.sources)
        return NotEnoughSourcesError(
            what,
            help="when the servers are back, or with more (--server URL), the same command goes on"
            if remote
            else "name more sources with --server",
            details=tuple(details),
            missing=tuple(f.name for f in fragments),
        )
