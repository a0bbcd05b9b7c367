"""Split a file into fragments and describe it in a manifest, in one pass over the input.

reader-hasher-writers, one a core:  take the next piece - read - hash - write it to its
fragment's copies - wait for the turn - hash the file
memory: one piece a worker, whatever the size of the file
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from regather.digest import HASH_SIZE, Hasher, new_hasher, piece_hash
from regather.errors import (
    DestinationExistsError,
    RegatherError,
    StorageError,
    UsageError,
    is_disk_full,
)
from regather.manifest import Manifest
from regather.model import Fragment, Layout, Source, piece_size_for
from regather.names import MANIFEST_SUFFIX, flaw_of, suffixed

MAX_FRAGMENTS = 100_000
DEFAULT_FRAGMENTS = 3
_FRAGMENT_NAME = re.compile(r"file_fragment_[1-9][0-9]*\.dat")
OnBytes = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the fragments go: folders, and for each fragment the folders that get a copy."""

    folders: tuple[Path, ...]
    copies: tuple[tuple[int, ...], ...]

    @classmethod
    def plan(cls, out: Path, fragments: int, servers: int | None, replicas: int) -> Placement:
        """Spread fragments over ``server1`` to ``serverN`` so that replicas never share one.

        Without ``servers`` all go into ``out`` itself. Raises UsageError.
        """
        if servers is None:
            if replicas != 1:
                raise UsageError("replicas need servers", help="add --servers N")
            return cls((out,), ((0,),) * fragments)
        if servers < 1 or replicas < 1:
            raise UsageError("servers and replicas must be 1 or more")
        if replicas > servers:
            raise UsageError(
                f"{replicas} replicas cannot stand on {servers} servers without sharing one",
                help=f"use --servers {replicas} or more, or --replicas {servers} or fewer",
            )
        folders = tuple(out / f"server{n + 1}" for n in range(servers))
        copies = tuple(tuple((f + r) % servers for r in range(replicas)) for f in range(fragments))
        return cls(folders, copies)


def split(
    path: str | Path,
    out: str | Path,
    *,
    fragments: int | None = None,
    chunk_size: int | None = None,
    servers: int | None = None,
    replicas: int = 1,
    at: Sequence[str] = (),
    sha256: bool = False,
    force: bool = False,
    on_progress: OnBytes | None = None,
) -> Manifest:
    """Split ``path`` into exact slices ``file_fragment_1.dat``, ... and write the manifest.

    Either ``fragments`` (as equal as can be, default 3) or ``chunk_size`` (bytes of each, the
    last one shorter). With ``servers``, ``out`` gets a folder a server, and every fragment stands
    in ``replicas`` of them. ``at`` names, once a server in order, the URL where its folder will
    be hosted. ``sha256`` adds that hash of the whole file. ``on_progress`` is called with bytes
    done and in all, from several threads but never from two at once.

    Raises UsageError, DestinationExistsError (unless ``force``) or StorageError; then no fragment
    and no manifest is left that was not there before.
    """
    path, out = Path(path), Path(out)
    with _Input(path) as source:
        sizes = _fragment_sizes(source.size, fragments, chunk_size)
        placement = Placement.plan(out, len(sizes), servers, replicas)
        if at and len(at) != len(placement.folders):
            raise UsageError(
                f"{len(at)} URLs for {len(placement.folders)} servers",
                help="give --at once for each server, in order",
            )
        layout = _layout(source.size, sizes)
        manifest_name = suffixed(path.name, MANIFEST_SUFFIX)
        writer = _Writer(path, out, layout, placement, manifest_name, force=force)
        try:
            hashes, blake3, digest = _copy(source, layout, writer, sha256, on_progress)
            source.check_unchanged()
            manifest = Manifest(
                name=path.name,
                size=source.size,
                piece_size=layout.piece_size,
                fragments=tuple(
                    Fragment(f.index, f.name, f.offset, f.size, hashes[i])
                    for i, f in enumerate(layout.fragments)
                ),
                sources=_sources(at, placement),
                blake3=blake3,
                sha256=digest,
                created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            )
            # What we write must be what we read, before anyone relies on it.
            data = manifest.to_bytes()
            Manifest.from_bytes(data)
            writer.publish(data)
        except OSError as error:
            raise _trouble(out, error) from error
        finally:
            writer.discard()
    return manifest


# -- before: the geometry ---------------------------------------------------------------------


class _Input:
    """The file to split, open for reading."""

    def __init__(self, path: Path) -> None:
        try:
            self.descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise UsageError(f"{path}: {(error.strerror or str(error)).lower()}") from None
        self._path = path
        self._before = os.fstat(self.descriptor)
        mode = self._before.st_mode
        flaw = flaw_of(path.name)
        if stat.S_ISDIR(mode):
            flaw = "is a folder, not a file"
        elif not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            flaw = "is not a regular file"
        if flaw:
            os.close(self.descriptor)
            raise UsageError(f"{path}: {flaw}", help="name a file to split")
        self.size = os.lseek(self.descriptor, 0, os.SEEK_END)

    def __enter__(self) -> _Input:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.descriptor)

    def check_unchanged(self) -> None:
        """Raise where the file was written to while it was read."""
        now = os.fstat(self.descriptor)
        if (now.st_mtime_ns, now.st_size) != (self._before.st_mtime_ns, self._before.st_size):
            raise RegatherError(f"{self._path}: changed while it was split", help="split it again")


def _fragment_sizes(size: int, count: int | None, chunk_size: int | None) -> list[int]:
    if count is not None and chunk_size is not None:
        raise UsageError("give either a number of fragments or a chunk size, not both")
    if chunk_size is not None:
        if chunk_size < 1:
            raise UsageError(f"the chunk size must be 1 byte or more, not {chunk_size}")
        count = max(1, -(-size // chunk_size))
        _check_count(count, "use a larger --chunk-size")
        return [chunk_size] * (count - 1) + [size - chunk_size * (count - 1)]
    if count is None:
        count = min(DEFAULT_FRAGMENTS, max(1, size))
    if count < 1:
        raise UsageError(f"the number of fragments must be 1 or more, not {count}")
    _check_count(count, "use fewer --fragments")
    if count > max(size, 1):
        raise UsageError(
            f"{count} fragments of a file of {size} bytes: some would be empty",
            help=f"use --fragments {max(size, 1)} or fewer",
        )
    each, extra = divmod(size, count)
    return [each + 1] * extra + [each] * (count - extra)


def _check_count(count: int, help: str) -> None:
    if count > MAX_FRAGMENTS:
        raise UsageError(f"{count} fragments are more than {MAX_FRAGMENTS}", help=help)


def _layout(size: int, sizes: Sequence[int]) -> Layout:
    made: list[Fragment] = []
    offset = 0
    for n, length in enumerate(sizes, 1):
        made.append(Fragment(n, f"file_fragment_{n}.dat", offset, length))
        offset += length
    return Layout(size, piece_size_for(size), tuple(made))


def _sources(at: Sequence[str], placement: Placement) -> tuple[Source, ...]:
    held: list[set[int]] = [set() for _ in placement.folders]
    for position, folders in enumerate(placement.copies):
        for folder in folders:
            held[folder].add(position + 1)
    return tuple(
        Source(url if url.endswith("/") else url + "/", frozenset(held[i]))
        for i, url in enumerate(at)
    )


# -- the pass over the input ------------------------------------------------------------------


class _Turns:
    """Lets workers that finish out of order take their turns in order."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next = 0
        self.failed: BaseException | None = None

    def wait_for(self, number: int) -> bool:
        """Wait for the turn of ``number``; False where another worker failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._next == number or self.failed is not None)
            return self.failed is None

    def over(self) -> None:
        """Pass the turn on."""
        with self._changed:
            self._next += 1
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        """Let all others stop."""
        with self._changed:
            self.failed = self.failed or error
            self._changed.notify_all()


def _copy(
    source: _Input,
    layout: Layout,
    writer: _Writer,
    sha256: bool,
    on_progress: OnBytes | None,
) -> tuple[list[bytes], str, str]:
    """Read, hash and write every piece; returns (packed hashes by fragment, BLAKE3, SHA-256)."""
    hashes = [bytearray(layout.pieces_of(f) * HASH_SIZE) for f in range(len(layout.fragments))]
    whole: list[Hasher] = [new_hasher()] + ([hashlib.sha256()] if sha256 else [])
    turns = _Turns()
    numbers = iter(range(layout.piece_count))
    lock = threading.Lock()
    done = 0

    def work() -> None:
        nonlocal done
        buffer = memoryview(bytearray(layout.piece_size))
        while turns.failed is None:
            with lock:
                number = next(numbers, None)
            if number is None:
                return
            fragment, piece = layout.locate(number)
            view = buffer[: layout.length(fragment, piece)]
            if os.preadv(source.descriptor, [view], layout.offset(fragment, piece)) != len(view):
                raise RegatherError("the file became shorter while it was split")
            at = piece * HASH_SIZE
            hashes[fragment][at : at + HASH_SIZE] = piece_hash(view)
            writer.write(fragment, piece * layout.piece_size, view)
            if not turns.wait_for(number):
                return
            for hasher in whole:
                hasher.update(view)
            done += len(view)
            if on_progress:
                on_progress(done, layout.size)
            turns.over()

    def guarded() -> None:
        try:
            work()
        except BaseException as error:
            turns.fail(error)

    workers = min((os.cpu_count() or 1) + 1, max(layout.piece_count, 1))
    threads = [threading.Thread(target=guarded, name=f"regather-split-{n}") for n in range(workers)]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            thread.join()
    except BaseException as error:
        turns.fail(error)
        for thread in threads:
            thread.join()
        raise
    if turns.failed is not None:
        raise turns.failed
    digests = [h.digest().hex() for h in whole]
    return [bytes(h) for h in hashes], digests[0], digests[1] if sha256 else ""


class _Writer:
    """Fragments being written under temporary names; published together at the end."""

    def __init__(
        self,
        source: Path,
        out: Path,
        layout: Layout,
        placement: Placement,
        manifest_name: str,
        *,
        force: bool,
    ) -> None:
        self._layout = layout
        self._placement = placement
        self._lock = threading.Lock()
        self._open: dict[int, list[int]] = {}
        self._left = [max(layout.pieces_of(f), 1) for f in range(len(layout.fragments))]
        self._made: list[Path] = []
        self._suffix = f".regather-part-{os.getpid()}"
        self._manifests = [
            folder / manifest_name for folder in dict.fromkeys((out, *placement.folders))
        ]
        self._force = force
        try:
            for folder in (out, *placement.folders):
                folder.mkdir(parents=True, exist_ok=True)
            self._stale = self._in_the_way(out, source)
            for f, fragment in enumerate(layout.fragments):
                if fragment.size == 0:
                    self._descriptors(f)
                    self._piece_written(f)
        except FileExistsError as error:
            raise UsageError(f"{error.filename}: is a file, not a folder") from None
        except OSError as error:
            raise _trouble(out, error) from error

    def _in_the_way(self, out: Path, source: Path) -> list[Path]:
        """Fragments of an earlier split that would mix with ours."""
        found = [
            path
            for folder in dict.fromkeys((out, *self._placement.folders))
            for path in folder.iterdir()
            if _FRAGMENT_NAME.fullmatch(path.name)
        ]
        found += [path for path in self._manifests if path.exists()]
        for path in found:
            if not path.is_file() or path.samefile(source):
                flaw = "is the file to split" if path.is_file() else "is not a regular file"
                raise UsageError(f"{path}: is in the way and {flaw}", help="choose another --out")
        if found and not self._force:
            raise DestinationExistsError(
                f"{out}: holds fragments or a manifest already, like {found[0].name}",
                help="choose another --out, or use --force to replace them",
            )
        return found

    def _targets(self, fragment: int) -> list[Path]:
        name = self._layout.fragments[fragment].name
        return [self._placement.folders[i] / name for i in self._placement.copies[fragment]]

    def _descriptors(self, fragment: int) -> list[int]:
        with self._lock:
            if fragment not in self._open:
                opened = self._open[fragment] = []
                for target in self._targets(fragment):
                    part = target.with_name(target.name + self._suffix)
                    self._made.append(part)
                    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
                    opened.append(os.open(part, flags, 0o644))
            return self._open[fragment]

    def write(self, fragment: int, offset: int, data: memoryview) -> None:
        """Write bytes of a fragment into all its copies. Thread-safe. Raises OSError."""
        for descriptor in self._descriptors(fragment):
            written = 0
            while written < len(data):
                written += os.pwrite(descriptor, data[written:], offset + written)
        self._piece_written(fragment)

    def _piece_written(self, fragment: int) -> None:
        with self._lock:
            self._left[fragment] -= 1
            if self._left[fragment] == 0:
                for descriptor in self._open.pop(fragment):
                    os.close(descriptor)

    def publish(self, manifest: bytes) -> None:
        """Give everything its name; the manifest last, for it says that all is there."""
        wanted = {t for f in range(len(self._layout.fragments)) for t in self._targets(f)}
        for path in self._manifests:
            path.unlink(missing_ok=True)
        for part in self._made:
            part.rename(part.with_name(part.name.removesuffix(self._suffix)))
        for path in self._stale:
            if path not in wanted:
                path.unlink(missing_ok=True)
        for path in self._manifests:
            part = path.with_name(suffixed(path.name, self._suffix))
            self._made.append(part)
            part.write_bytes(manifest)
            part.rename(path)

    def discard(self) -> None:
        """Close and remove what was not published."""
        for opened in self._open.values():
            for descriptor in opened:
                os.close(descriptor)
        self._open.clear()
        for part in self._made:
            part.unlink(missing_ok=True)


def _trouble(out: Path, error: OSError) -> StorageError:
    return StorageError(
        f"{error.filename or out}: {(error.strerror or str(error)).lower()}",
        help="free some space or choose another --out" if is_disk_full(error) else "",
    )
