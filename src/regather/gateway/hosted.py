"""One hosted file of a gateway: what is served of it, and what fetches it while it is read."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct
from msgspec.structs import replace

from regather.digest import piece_hash
from regather.engine.steps import SteppedSession
from regather.gateway.loops import LoopGuard
from regather.manifest import Manifest
from regather.names import MANIFEST_SUFFIX, signature_name, suffixed
from regather.reading.recipe import Recipe
from regather.server.threads import in_thread
from regather.sources.download_target import DownloadTarget

if TYPE_CHECKING:
    from regather.engine.observer import Observer
    from regather.engine.shared_room import SharedRoom
    from regather.sources.manifests import LoadedManifest
    from regather.store.cached_file import CachedFile
    from regather.store.disk_cache import DiskCache


class Slice(Struct, frozen=True):
    """Bytes of the file that are served under a name of their own."""

    name: str
    start: int
    size: int
    tag: str
    """Entity tag, made of the content: the same at all gateways."""
    sha256: str = ""


class Response(Struct, eq=False):
    """A response that is being sent from a hosted file."""

    name: str
    """What is sent, and to whom."""
    began: float
    """By the monotonic clock, like the other times."""
    size: int = 0
    sent: int = 0
    piece: int = -1
    """The running number of the piece that it waits for; -1: it waits for its client."""
    since: float = 0.0
    """Since when it waits; 0: it waits for nothing."""

    def wait(self, piece: int = -1) -> None:
        """It begins to wait for a piece, or for its client."""
        self.piece, self.since = piece, time.monotonic()

    def go_on(self, sent: int = 0) -> None:
        """It does not wait any longer; ``sent`` more bytes have gone out."""
        self.sent += sent
        self.since = 0.0


class Published(Struct, frozen=True):
    """A document of the publisher."""

    data: bytes
    tag: str
    lasting: bool = False
    """Whether it never changes below the digest of the file."""


class SessionWatcher(Protocol):
    """Follows the sessions of hosted files."""

    def observer(self, hosted: HostedFile) -> Observer | None:
        """What records the next session of a file."""
        ...

    def follow(self, hosted: HostedFile, session: SteppedSession) -> None:
        """A session is made."""
        ...


class HostedFile:
    """A file or packed folder, by its manifest. For the event loop only."""

    def __init__(
        self,
        manifest: Manifest,
        target: DownloadTarget,
        recipe: Recipe,
        own_id: str,
        memory: SharedRoom,
        disk: DiskCache | None = None,
        watcher: SessionWatcher | None = None,
    ) -> None:
        """``memory`` is that of all files; ``watcher`` gets each session that is made."""
        self.manifest = manifest
        self.target = target
        self.digest = manifest.digest
        self.layout = target.layout
        self.recipe = recipe
        self._watcher = watcher
        self.manifest_name = suffixed(manifest.name, MANIFEST_SUFFIX)
        self.documents: dict[str, Published] = {}
        """By name: its manifest, and the signature of that."""
        self._published: LoadedManifest | None = None
        """What they were made of."""
        self.loops = LoopGuard(own_id)
        self.responses: dict[Response, None] = {}
        """Those that are being sent from it, in the order of their start."""
        self._session: SteppedSession | None = None
        self._memory = memory
        self._disk = disk
        self._cached: CachedFile | None = None
        # Empty fragments share their offset with the next one and have no pieces.
        self._positions = [
            f for f in range(self.layout.data_count) if self.layout.fragments[f].size
        ]
        self._offsets = [self.layout.fragments[f].offset for f in self._positions]
        self.file = Slice(
            manifest.file_name,
            0,
            manifest.size,
            _tag(manifest.blake3) or manifest.content_digest,
            manifest.sha256 if manifest.folder is None else "",
        )
        self.below = self._entries()
        """The files of a folder, by their paths."""
        self._fragments = {
            f.name: Slice(f.name, f.offset, f.size, f"{manifest.content_digest}-{f.index}")
            for f in self.layout.fragments[: self.layout.data_count]
        }

    def publish(self, loaded: LoadedManifest) -> None:
        """Hand on what was found: as it is where its signature was verified."""
        if loaded is self._published:
            return
        self._published = loaded
        name, signed = self.manifest_name, loaded.signed
        if signed is None:
            data = relayed(self.manifest).to_bytes()
            self.documents = {name: Published(data, f"{self.digest}-manifest", lasting=True)}
        else:
            # Of one digest, there may be other manifests, and later signatures.
            found = {name: loaded.data, signature_name(name): signed.data}
            self.documents = {n: Published(d, piece_hash(d).hex()) for n, d in found.items()}

    def _entries(self) -> Mapping[str, Slice]:
        if self.manifest.folder is None:
            return {}
        return {
            e.path: Slice(
                e.path.rpartition("/")[2],
                e.offset,
                e.size,
                _tag(e.blake3) or f"{self.digest}-{e.offset:x}-{e.size:x}",
            )
            for e in self.manifest.folder.entries
            if e.kind == "file"
        }

    def find(self, path: str) -> Slice | None:
        """What a path stands for, below the name of the file or its digest."""
        name = self.manifest.name
        if path == self.file.name:
            return self.file
        if path.startswith(f"{name}/") and (found := self.below.get(path[len(name) + 1 :])):
            return found
        return self._fragments.get(path)

    @property
    def readers(self) -> int:
        """The number of its responses."""
        return len(self.responses)

    @property
    def fragments(self) -> Mapping[str, Slice]:
        """The data fragments, by name."""
        return self._fragments

    def pieces(self, start: int, stop: int) -> range:
        """The running numbers of the pieces that hold bytes ``start`` up to ``stop``."""
        return range(self._number(start), self._number(stop - 1) + 1)

    def _number(self, offset: int) -> int:
        at = bisect_right(self._offsets, offset) - 1
        position = self._positions[at]
        return self.layout.number(position, (offset - self._offsets[at]) // self.layout.piece_size)

    async def prepare(self) -> None:
        """Look at what the disk has of it, before it is first read."""
        if self._disk is not None and self._cached is None:
            identity = bytes.fromhex(self.digest)
            self._cached = await in_thread(self._disk.open, self.layout, identity)

    @property
    def session(self) -> SteppedSession:
        """What fetches its pieces: made when it is first read. Raises UsageError."""
        if self._session is None:
            observer = None if self._watcher is None else self._watcher.observer(self)
            self._session = self.recipe.session_of(
                SteppedSession,
                self._cached,
                cdn_loop=self.loops.header,
                observer=observer,
                shared=self._memory,
            )
            if self._watcher is not None:
                self._watcher.follow(self, self._session)
        return self._session

    @property
    def live(self) -> SteppedSession | None:
        """The session, if there is one by now."""
        return self._session

    def close(self) -> None:
        """Break off what is under way."""
        session, self._session = self._session, None
        if session is not None:
            session.close()


def relayed(manifest: Manifest) -> Manifest:
    """The manifest as a gateway hands it on: its own folder is the only source.

    Parity is left out, for a gateway computes what is lost. The digest stays the same.
    """
    data = [replace(f, set=0) for f in manifest.fragments if f.kind == "data"]
    return replace(manifest, fragments=tuple(data), sources=(), survives=0)


def _tag(blake3: str | None) -> str:
    return f"b3-{blake3}" if blake3 else ""
