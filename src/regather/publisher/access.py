"""Careful work with one store: patience with what passes, and a look at what stands there."""

from __future__ import annotations

import logging
import re
import secrets
import threading
from collections.abc import Callable, Sequence
from enum import Enum
from typing import TypeVar

from regather.backoff import STORES
from regather.digest import HASH_SIZE, new_hasher
from regather.manifest import MAX_MANIFEST_BYTES
from regather.model import Fragment
from regather.names import suffixed
from regather.tasks import run_all
from regather.transport import Failure, RequestFailed, TransportOptions
from regather.transport.stores.base import ReadInto, Store
from regather.transport.stores.open import open_store

_BAD_REQUEST = 400
_MD5 = re.compile(r'"[0-9a-f]{32}(-[0-9]{1,5})?"')
_log = logging.getLogger("regather.stores")
_T = TypeVar("_T")


class Found(Enum):
    """What stands under the name of a fragment."""

    NOTHING = "nothing"
    RIGHT = "the fragment, verified byte by byte"
    OTHER = "something else"


class Stopping:
    """Runs work in threads, and ends all of it at once: calls fail, pauses are over."""

    def __init__(self) -> None:
        self.tell: Callable[[], None] | None = None
        """Called several times a second while threads run, in the one that waits for them."""
        self._event = threading.Event()
        self._lock = threading.Lock()
        self._stores: set[Store] = set()

    def run(self, jobs: Sequence[Callable[[], object]], name: str) -> None:
        """Run jobs, a thread each. Raises what one raises, or an interruption, when all ended."""
        run_all(jobs, name=name, stop=self.stop, tick=self.tell)

    def open(self, url: str, options: TransportOptions) -> Store:
        """A store that ends with all others; give it back with close()."""
        store = open_store(url, options)
        with self._lock:
            self._stores.add(store)
        if self._event.is_set():
            store.abort()
        return store

    def close(self, store: Store) -> None:
        """Free a store."""
        with self._lock:
            self._stores.discard(store)
        store.close()

    def stop(self) -> None:
        """End everything; from any thread."""
        self._event.set()
        with self._lock:
            for store in self._stores:
                store.abort()

    @property
    def stopped(self) -> bool:
        """Whether stop() was called."""
        return self._event.is_set()

    def pause(self, seconds: float) -> None:
        """Wait; raises RequestFailed (ABORTED) where all ends meanwhile."""
        if self._event.wait(seconds):
            raise RequestFailed(Failure.ABORTED, "aborted")


def persist(call: Callable[[], _T], retries: int, stopping: Stopping) -> _T:
    """Do it again, after growing pauses of random length, while its failure may pass.

    Raises the last RequestFailed after ``retries`` more attempts, or a lasting one at once.
    """
    attempt = 0
    while True:
        try:
            return call()
        except RequestFailed as error:
            if error.failure.lasting or error.failure is Failure.ABORTED or attempt >= retries:
                raise
            pause = STORES.pause(attempt, error.retry_after)
            if pause is None:
                raise
            _log.info("%s; next attempt in %.1f s", error.what, pause)
            stopping.pause(pause)
            attempt += 1


def may_write(store: Store, like: str) -> None:
    """Raise RequestFailed where we may not write (FORBIDDEN), or not under such a name as ``like``.

    Changes nothing: removing what is not there is how to ask. It is refused to those who may not,
    and 404 to others; a name that is never taken is answered with 400.
    """
    mark = f"-regather-probe-{secrets.token_hex(8)}"
    try:
        store.delete(suffixed(like, mark))
    except RequestFailed as error:
        if error.failure is Failure.FORBIDDEN or (
            error.status == _BAD_REQUEST and not _refused(store, f"name{mark}")
        ):
            error.what = error.what.replace(mark, "")
            raise


def _refused(store: Store, name: str) -> bool:
    """Whether a name, even a plain one, is answered with 400: then that says nothing."""
    try:
        store.delete(name)
    except RequestFailed as error:
        return error.status == _BAD_REQUEST
    return False


def _is_told(store: Store, tag: str, size: int, read: ReadInto) -> bool:
    """Whether the store's own tag says that an object has these bytes.

    Tags that are the MD5 of what came, as those of S3, were made of the bytes by the store. Others
    say nothing of the content.
    """
    tag_of = getattr(store, "tag_of", None)
    return tag_of is not None and bool(_MD5.fullmatch(tag)) and tag == tag_of(size, read)


def look(store: Store, fragment: Fragment, piece_size: int, read: ReadInto | None = None) -> Found:
    """What stands in the fragment's place, read and hashed where its size is right.

    Where ``read`` gives the fragment and the store's tag is that of its bytes, that is enough.
    Else the first wrong piece ends the reading. Raises RequestFailed.
    """
    stat = store.stat(fragment.name)
    if stat is None:
        return Found.NOTHING
    if stat.size != fragment.size:
        return Found.OTHER
    if read is not None and _is_told(store, stat.validator, stat.size, read):
        return Found.RIGHT
    hasher, left, number = new_hasher(), min(piece_size, fragment.size), 0
    steps = store.read(fragment.name, 0, fragment.size)
    try:
        for step in steps:
            view = step
            while view:
                taken = view[:left]
                hasher.update(taken)
                view, left = view[len(taken) :], left - len(taken)
                if left:
                    continue
                at = number * HASH_SIZE
                if hasher.digest() != fragment.hashes[at : at + HASH_SIZE]:
                    return Found.OTHER
                number += 1
                hasher = new_hasher()
                left = min(piece_size, fragment.size - number * piece_size)
    finally:
        close = getattr(steps, "close", None)
        if close is not None:  # frees the connection, where we stopped early
            close()
    return Found.RIGHT


def read_whole(store: Store, name: str) -> bytes | None:
    """A manifest-sized object; None where there is none, or what stands there is larger.

    Raises RequestFailed.
    """
    stat = store.stat(name)
    if stat is None or stat.size > MAX_MANIFEST_BYTES:
        return None if stat is None else b""
    return b"".join(bytes(step) for step in store.read(name, 0, stat.size))


def put_bytes(store: Store, name: str, data: bytes) -> None:
    """Store a small object, in place of what has its name. Raises RequestFailed."""
    hasher = new_hasher()
    hasher.update(data)

    def read(offset: int, into: memoryview) -> None:
        into[:] = data[offset : offset + len(into)]

    store.put(name, len(data), read, hasher.digest())
    stat = store.stat(name)
    if stat is None or stat.size != len(data):
        raise RequestFailed(Failure.DAMAGED, f"{name}: is missing after the upload")
