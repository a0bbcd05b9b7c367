"""Stores and sources that are asked again where they fail, until a scope ends it all.

One policy, one way to end, one wrapper: for publish, check and repair alike.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from typing import Self, TypeVar

from regather.backoff import STORES
from regather.digest import new_hasher, piece_hash
from regather.model import Layout
from regather.tasks import CancelScope
from regather.transport import Failure, RequestFailed, TransportOptions, locate, open_connection
from regather.transport.stores.base import ReadInto, Stat
from regather.transport.stores.open import open_hosted

__all__ = ["Found", "RetryPolicy", "RetryingReader", "RetryingStore", "verify"]

_STEP = 256 << 10
_ALIVE = 4 << 10
"""Bytes after which the failures before are forgiven."""
_MD5 = re.compile(r'"[0-9a-f]{32}(-[0-9]{1,5})?"')
_log = logging.getLogger("regather.stores")
_T = TypeVar("_T")


class Found(Enum):
    """What stands under the name of a fragment."""

    NOTHING = "nothing"
    RIGHT = "the fragment, verified byte by byte"
    OTHER = "something else"


class RetryPolicy:
    """How stores are asked, how often again, and whether at all. Shared by threads."""

    def __init__(
        self, options: TransportOptions, retries: int, scope: CancelScope | None = None
    ) -> None:
        """``retries`` are those in a row that bring nothing."""
        self.options = options
        self.retries = retries
        self.scope = scope or CancelScope()

    def check(self) -> None:
        """Raise RequestFailed (ABORTED) once the scope is cancelled."""
        if self.scope.cancelled:
            raise RequestFailed(Failure.ABORTED, "aborted")

    def pause(self, seconds: float) -> None:
        """Wait; raises RequestFailed (ABORTED) where all ends meanwhile."""
        self.scope.wait(seconds)
        self.check()

    def bear(self, failed: RequestFailed, attempt: int) -> None:
        """Wait before another try; raise ``failed`` where that is pointless or was too often."""
        self.check()
        if failed.failure.lasting or failed.failure is Failure.ABORTED or attempt >= self.retries:
            raise failed
        pause = STORES.pause(attempt, failed.retry_after)
        if pause is None:
            raise failed
        _log.info("%s; next attempt in %.1f s", failed.what, pause)
        self.pause(pause)

    def call(self, call: Callable[[], _T]) -> _T:
        """Call it until it succeeds. Raises the last RequestFailed, or a lasting one at once."""
        attempt = 0
        while True:
            try:
                return call()
            except RequestFailed as failed:
                self.bear(failed, attempt)
                attempt += 1


class RetryingStore:
    """A store, or a source that is only read; belongs to one thread. Close it, or use ``with``."""

    def __init__(self, url: str, policy: RetryPolicy) -> None:
        self._url = url
        self._policy = policy
        self.store = open_hosted(url, policy.options)
        """The store itself, which is asked once."""
        policy.scope.add(self.store.abort)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free everything."""
        self._policy.scope.discard(self.store.abort)
        self.store.close()

    def stat(self, name: str) -> Stat | None:
        """See Store.stat."""
        return self._policy.call(lambda: self.store.stat(name))

    def put(self, name: str, size: int, read: ReadInto, blake3: bytes) -> None:
        """See Store.put; replaces what is there."""
        self._policy.call(lambda: self.store.put(name, size, read, blake3))

    def delete(self, name: str) -> None:
        """See Store.delete."""
        self._policy.call(lambda: self.store.delete(name))

    def put_bytes(self, name: str, data: bytes) -> None:
        """Store a small object, in place of what has its name."""

        def read(offset: int, into: memoryview) -> None:
            into[:] = data[offset : offset + len(into)]

        self.put(name, len(data), read, piece_hash(data))

    def read_whole(self, name: str, limit: int) -> bytes | None:
        """A small object; None where there is none, empty where it is over ``limit`` bytes."""

        def read() -> bytes | None:
            stat = self.store.stat(name)
            if stat is None or stat.size > limit:
                return None if stat is None else b""
            return b"".join(map(bytes, self.store.read(name, 0, stat.size)))

        return self._policy.call(read)

    def look(self, layout: Layout, position: int, own: ReadInto | None = None) -> Found:
        """What stands in a fragment's place; read and hashed where its size is right.

        Where ``own`` gives the fragment and the store's tag is that of its bytes, that is enough.
        Else the first wrong piece ends the reading. Raises RequestFailed.
        """
        name, size = layout.fragments[position].name, layout.fragments[position].size
        stat = self.stat(name)
        if stat is None:
            return Found.NOTHING
        if stat.size != size:
            return Found.OTHER
        if own is not None and self._is_told(stat.validator, size, own):
            return Found.RIGHT
        pieces = range(layout.pieces_of(position))
        with RetryingReader(self._url, name, size, self._policy) as reader:
            right = all(right for _, right in verify(reader, layout, position, pieces))
        return Found.RIGHT if right else Found.OTHER

    def _is_told(self, tag: str, size: int, own: ReadInto) -> bool:
        """Whether the store's own tag says that an object has these bytes.

        Tags that are the MD5 of what came, as those of S3, were made of the bytes by the store.
        Others say nothing of the content.
        """
        tag_of = getattr(self.store, "tag_of", None)
        return tag_of is not None and bool(_MD5.fullmatch(tag)) and tag == tag_of(size, own)


class RetryingReader:
    """Reads one object, mostly onwards, on a connection of its own. Close it, or use ``with``."""

    def __init__(self, url: str, name: str, size: int, policy: RetryPolicy) -> None:
        """``size`` is how many bytes the object has there."""
        self._target = locate(url, name)
        self._size = size
        self._policy = policy
        self._connection = open_connection(url, policy.options)
        policy.scope.add(self._connection.abort)
        self._at = self._stop = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, offset: int, into: memoryview, until: int) -> None:
        """Fill ``into`` from ``offset`` on; ``until`` is the end of what will be wanted next.

        Goes on with the open answer where that fits. Raises RequestFailed.
        """
        if offset + len(into) > self._size:
            raise RequestFailed(Failure.MISSING, f"{self._target}: ends before")
        attempt = 0
        done = failed_at = 0
        while done < len(into):
            self._policy.check()
            at = offset + done
            try:
                if self._at != at or self._stop < offset + len(into):
                    self._request(at, min(max(until, offset + len(into)), self._size))
                count = self._connection.receive(into[done : done + _STEP])
            except RequestFailed as failed:
                self._drop()
                # Bytes in between show that it is alive, a few drops do not.
                attempt = 0 if done - failed_at >= _ALIVE else attempt
                failed_at = done
                self._policy.bear(failed, attempt)
                attempt += 1
                continue
            done += count
            self._at += count
        if self._at == self._stop:
            self._drop()

    def _request(self, start: int, stop: int) -> None:
        self._drop()
        ranged = self._connection.request(self._target, start, stop, None)
        self._at = 0
        if not ranged and start:
            # A source without ranges sends all from the first byte.
            waste = memoryview(bytearray(min(start, _STEP)))
            while self._at < start:
                self._policy.check()
                self._at += self._connection.receive(waste[: min(len(waste), start - self._at)])
        self._at, self._stop = start, stop

    def _drop(self) -> None:
        if self._stop:
            self._connection.finish()
        self._at = self._stop = 0

    def close(self) -> None:
        """Free everything."""
        self._policy.scope.discard(self._connection.abort)
        self._connection.close()


def verify(
    reader: RetryingReader,
    layout: Layout,
    position: int,
    pieces: Sequence[int],
    progress: Callable[[int], None] = lambda count: None,
) -> Iterator[tuple[int, bool]]:
    """Read pieces of a fragment, in rising order, and tell of each whether it is right.

    ``progress`` is called with the bytes that came. Raises RequestFailed.
    """
    buffer = memoryview(bytearray(min(_STEP, layout.piece_size)))
    for _, group in itertools.groupby(enumerate(pieces), lambda pair: pair[1] - pair[0]):
        run = [piece for _, piece in group]
        _, until = layout.span(position, run[-1], run[-1] + 1)
        for piece in run:
            hasher = new_hasher()
            at, stop = layout.span(position, piece, piece + 1)
            while at < stop:
                into = buffer[: min(len(buffer), stop - at)]
                reader.read(at, into, until)
                hasher.update(into)
                at += len(into)
                progress(len(into))
            yield piece, hasher.digest() == layout.hash_of(position, piece)
