"""A bucket, or a prefix in one, as a store.

No store of objects knows BLAKE3, so what landed is compared by its entity tag where that is the
MD5 of what was sent, as S3 and most that speak like it have it (of large objects: the MD5 of the
MD5s of their parts). Where it is none, as with Google, Azure and some encryption, the object is
read back and hashed.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from regather.digest import new_hasher
from regather.transport.base import Failure, RequestFailed
from regather.transport.objects.clients import check, client_of
from regather.transport.objects.connection import ObjectConnection
from regather.transport.objects.failures import failed
from regather.transport.objects.loop import submit
from regather.transport.objects.object_address import ObjectAddress, address_of
from regather.transport.options import TransportOptions
from regather.transport.ranges import STEP, read_range
from regather.transport.stores.base import ReadInto, Stat, blake3_of, check_name, stat_of

if TYPE_CHECKING:
    from obstore import PutResult

_WHOLE = 16 << 20
"""Bytes up to which an object is sent in one request."""
_PART = 8 << 20
"""Bytes of each request for a larger one, unless that makes too many."""
_MOST_PARTS = 10_000
"""As S3 has it."""
_LARGEST = 5 << 40
"""Bytes of an object: as S3 has it."""
_AT_ONCE = 3
"""Parts of one object under way."""
_GRACE = 5.0
"""Seconds for obstore to clear away the parts of an upload that is given up, or to complete it."""
_TICK = 0.25


class ObjectStore:
    """Objects below ``base``, a URL that ends in a slash; see Store.

    Holds more in memory than other stores: up to five parts, of 8 MiB for objects up to 80 GB.
    """

    def __init__(self, base: str, options: TransportOptions) -> None:
        """Raises UsageError where the address or a setting is wrong."""
        check(base, options)
        self._base = base
        self._options = options
        self._connection = ObjectConnection(options)
        self._aborted = threading.Event()
        self._upload: _Upload | None = None

    def stat(self, name: str) -> Stat | None:
        """See Store.stat."""
        return stat_of(self._connection, self._target(name))

    def put(
        self, name: str, size: int, read: ReadInto, blake3: bytes, *, replace: bool = True
    ) -> None:
        """See Store.put."""
        target = self._target(name)
        if size > _LARGEST:
            raise RequestFailed(
                Failure.TOO_LARGE, f"{target}: larger than 5 TiB, the limit of an object"
            )
        if not replace and size > _WHOLE and self.stat(name) is not None:
            # Only what goes in one request can the store itself refuse.
            raise RequestFailed(Failure.EXISTS, f"{target}: already exists")
        upload = self._upload = _Upload(address_of(target), self._options, size, blake3)
        try:
            if self._aborted.is_set():
                raise _aborted()
            tag = upload.run(read, replace=replace)
        finally:
            self._upload = None
        if tag == upload.tag:
            return
        if blake3_of(self.read(name, 0, size)) != blake3:
            # Nobody else can have relied on it yet.
            self.delete(name)
            raise RequestFailed(
                Failure.DAMAGED, f"{target}: the stored object differs from the upload"
            )

    def tag_of(self, size: int, read: ReadInto) -> str:
        """The entity tag that an object has which was stored from here, if it is MD5."""
        step = size if size <= _WHOLE else part_of(size)
        buffer = memoryview(bytearray(min(size, STEP)))
        sums = []
        for start in range(0, max(size, 1), max(step, 1)):
            hasher = _md5(b"")
            for at in range(start, min(start + step, size), STEP):
                view = buffer[: min(STEP, start + step - at, size - at)]
                read(at, view)
                hasher.update(view)
            sums.append(hasher.digest())
        if size <= _WHOLE:
            return f'"{sums[0].hex()}"'
        return f'"{_md5(b"".join(sums)).hexdigest()}-{len(sums)}"'

    def delete(self, name: str) -> None:
        """See Store.delete."""
        import obstore

        target = self._target(name)
        there = self.stat(name)
        address = address_of(target)
        client = client_of(address, self._options, "read")
        # Also where there is none: so it shows whether we may.
        self._connection.run(lambda: obstore.delete_async(client, address.key), str(address))
        if there is None:
            raise RequestFailed(Failure.MISSING, f"{target}: not there")

    def read(self, name: str, start: int, stop: int) -> Iterator[memoryview]:
        """See Store.read."""
        return read_range(self._connection, self._target(name), start, stop)

    def abort(self) -> None:
        """See Store.abort."""
        self._aborted.set()
        self._connection.abort()
        if (upload := self._upload) is not None:
            upload.abort()

    def close(self) -> None:
        """See Store.close."""
        self._connection.close()

    def _target(self, name: str) -> str:
        check_name(name)
        if self._aborted.is_set():
            raise _aborted()
        return self._base + quote(name, safe="")


def part_of(size: int) -> int:
    """How many bytes each part of a large object has."""
    part = _PART
    while part * _MOST_PARTS < size:
        part *= 2
    return part


class _Upload:
    """One object on its way: read and hashed in the caller's thread, sent in the loop's.

    Up to _WHOLE bytes go in one request. More go in parts, which nobody sees before the last one
    has come; what is wrong with them shows before that, and then obstore clears them away.
    """

    def __init__(
        self, address: ObjectAddress, options: TransportOptions, size: int, blake3: bytes
    ) -> None:
        self._address = address
        self._options = options
        self._size = size
        self._blake3 = blake3
        self._part = part_of(size)
        self._parts: asyncio.Queue[bytearray | _GivenUpError | None] = asyncio.Queue()
        self._room = threading.Semaphore(1)
        self._aborted = threading.Event()
        self.tag = ""
        """The entity tag that the object should get, if it is MD5."""

    def run(self, read: ReadInto, *, replace: bool) -> str:
        """Send it all; returns the entity tag. Raises RequestFailed, and what ``read`` raises."""
        if self._size <= _WHOLE:
            data = self._next(read, 0, self._size, hasher := new_hasher())
            self._check(hasher.digest())
            self.tag = f'"{_md5(data).hexdigest()}"'
            whole = submit(self._send_whole(data, replace=replace))
            try:
                return self._result(whole)
            finally:
                whole.cancel()
        sending = submit(self._send_parts())
        try:
            self._feed(read, sending)
            return self._result(sending)
        except BaseException:
            self._give_up(sending)
            raise

    def abort(self) -> None:
        """Make run() fail soon; from any thread."""
        self._aborted.set()

    def _give_up(self, sending: Future[PutResult]) -> None:
        """Have obstore clear away what was sent; where all of it was, have it completed."""
        # Told through the iterator it does so; cancelled, it would leave all parts behind.
        self._hand_over(_GivenUpError())
        try:
            sending.result(_GRACE)
        except BaseException:
            sending.cancel()

    def _feed(self, read: ReadInto, sending: Future[PutResult]) -> None:
        hasher, sums = new_hasher(), []
        for start in range(0, self._size, self._part):
            part = self._next(read, start, self._part, hasher)
            sums.append(_md5(part).digest())
            if start + len(part) == self._size:
                self._check(hasher.digest())
            while not self._room.acquire(timeout=_TICK):
                self._look_for_abort()
                if sending.done():
                    return  # it failed: _result tells how
            self._hand_over(part)
        self._hand_over(None)
        self.tag = f'"{_md5(b"".join(sums)).hexdigest()}-{len(sums)}"'

    def _next(self, read: ReadInto, start: int, most: int, hasher: Any) -> bytearray:
        """The bytes of one request from ``start`` on, ``most`` of them at most."""
        data = bytearray(min(most, self._size - start))
        view = memoryview(data)
        for at in range(0, len(data), STEP):
            self._look_for_abort()
            step = view[at : at + STEP]
            read(start + at, step)
            hasher.update(step)
        self._look_for_abort()
        return data

    def _check(self, digest: bytes) -> None:
        if digest != self._blake3:
            raise RequestFailed(
                Failure.DAMAGED, f"{self._address}: the data does not have the expected hash"
            )

    def _result(self, sending: Future[PutResult]) -> str:
        """Wait for the end. Raises RequestFailed."""
        while True:
            try:
                return sending.result(_TICK)["e_tag"] or ""
            except TimeoutError:
                if sending.done():
                    raise RequestFailed(Failure.TIMEOUT, f"{self._address}: timed out") from None
                if self._aborted.is_set():
                    raise _aborted() from None
            except Exception as error:
                raise failed(error, str(self._address), storing=True) from None

    def _look_for_abort(self) -> None:
        if self._aborted.is_set():
            raise _aborted()

    # -- in the loop's thread -----------------------------------------------------------------

    def _hand_over(self, part: bytearray | _GivenUpError | None) -> None:
        async def put() -> None:
            self._parts.put_nowait(part)

        submit(put())

    async def _send_whole(self, data: bytearray, *, replace: bool) -> PutResult:
        import obstore

        client = client_of(self._address, self._options, "store")
        return await obstore.put_async(
            client,
            self._address.key,
            data,
            mode="overwrite" if replace else "create",
            use_multipart=False,
        )

    async def _send_parts(self) -> PutResult:
        import obstore

        client = client_of(self._address, self._options, "store")
        return await obstore.put_async(
            client,
            self._address.key,
            self._handed(),
            use_multipart=True,
            chunk_size=self._part,
            max_concurrency=_AT_ONCE,
        )

    async def _handed(self) -> AsyncIterator[bytearray]:
        while (part := await self._parts.get()) is not None:
            self._room.release()
            if isinstance(part, _GivenUpError):
                raise part
            yield part


class _GivenUpError(Exception):
    """No more of an upload comes. Never an interruption itself: that would end the loop."""


def _md5(data: bytes | bytearray) -> Any:
    return hashlib.md5(data, usedforsecurity=False)


def _aborted() -> RequestFailed:
    return RequestFailed(Failure.ABORTED, "aborted")
