"""Takes whole files, checked against the hash that the sender declares, and removes files."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator, Awaitable, Iterator
from dataclasses import dataclass

from aiohttp import hdrs, web

from regather.errors import reason
from regather.files.atomic import AtomicFile
from regather.files.platform import preallocate, sync_names
from regather.server.access_log import error_logger
from regather.server.files import Root, UnfitName
from regather.server.places import WritePlace
from regather.server.preconditions import Preconditions, UnreadableCondition, Version
from regather.server.problem import problem
from regather.server.receiving import HASH_HEADER, Refused, declared_hash, go_on, listed, receive
from regather.server.threads import in_thread
from regather.units import MAX_SIZE, format_size

_FULL = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
_FORBIDDEN = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
_BUSY = frozenset((errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM))
_TRIES = 8
"""How often a file is begun whose folder another process removes at once."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much may be stored, in bytes; None for no limit."""

    upload: int | None = None
    """For one file."""
    total: int | None = None
    """For all files of the folder, those that were there included."""


class Writing:
    """Stores and removes files below ``root``, a folder. Whether that is permitted, others ask."""

    def __init__(self, root: Root, limits: Limits) -> None:
        self._root = root
        self._limits = limits
        self._usage = root.usage()
        self._promised = 0  # bytes of all files that are coming in
        self._lock = asyncio.Lock()  # over a look at the folder and what is decided by it

    async def put(self, request: web.BaseRequest, target: str) -> web.Response:
        """Store the body under the path ``target`` (as it was sent: percent-encoded)."""
        return await _answer(request, self._put(request, target))

    async def delete(self, request: web.BaseRequest, target: str) -> web.Response:
        """Remove the file under the path ``target``."""
        return await _answer(request, self._delete(request, target))

    async def _put(self, request: web.BaseRequest, target: str) -> web.Response:
        size = self._declared_size(request)
        hasher, expected = declared_hash(request)
        conditions = Preconditions.of(request.headers)
        for _ in range(_TRIES):
            with _placed(self._root, target, make=True) as place:
                _check(conditions, place)
                async with self._room(place, size):
                    try:
                        incoming = AtomicFile(place.folder, place.name, hasher=hasher)
                    except FileNotFoundError:
                        continue  # the folder is gone already
                    try:
                        await _take(request, incoming, size, expected)
                        stored = await self._publish(incoming, place, conditions, size)
                        if HASH_HEADER in request.headers:
                            stored.headers[HASH_HEADER] = expected.hex()
                        return stored
                    finally:
                        incoming.discard()
        raise Refused(503, "another process keeps removing the folder")

    async def _publish(
        self, incoming: AtomicFile, place: WritePlace, conditions: Preconditions, size: int
    ) -> web.Response:
        async with self._lock:
            # Once more: it took time to get here.
            old = _check(conditions, place)
            try:
                await in_thread(incoming.publish, replace=not conditions.new_only)
            except FileExistsError:
                raise Refused(412, "a file with this name already exists") from None
            self._usage.changed(size - (old.st_size if old is not None else 0))
        await in_thread(place.keep)
        status = os.fstat(incoming.descriptor)
        headers = {hdrs.ETAG: f'"{_version(status).tag}"'}
        if old is not None:
            return web.Response(status=204, headers=headers)
        return web.Response(status=201, text="stored\n", headers=headers)

    async def _delete(self, request: web.BaseRequest, target: str) -> web.Response:
        with _placed(self._root, target, make=False) as place:
            async with self._lock:
                # What is not there is 404 whatever the conditions are (RFC 9110 13.2.1).
                if (
                    place.look() is None
                    or (old := _check(Preconditions.of(request.headers), place)) is None
                ):
                    raise Refused(404, "not found")
                os.unlink(place.name, dir_fd=place.folder)
                self._usage.changed(-old.st_size)
                await in_thread(sync_names, place.folder)
        return web.Response(status=204)

    def _declared_size(self, request: web.BaseRequest) -> int:
        headers = request.headers
        if hdrs.CONTENT_RANGE in headers:
            raise Refused(400, "only whole files are accepted: send it without Content-Range")
        if listed(request, hdrs.CONTENT_ENCODING) - {"identity"}:
            raise Refused(415, "only plain bodies are accepted: send it without Content-Encoding")
        size = request.content_length
        if size is None or hdrs.TRANSFER_ENCODING in headers:
            raise Refused(411, "send the length of the body: Content-Length")
        most = self._limits.upload
        if size > (MAX_SIZE if most is None else most):
            limit = "1 EiB" if most is None else format_size(most)
            raise Refused(413, f"too large: {size} bytes, the limit is {limit}")
        return size

    @contextlib.asynccontextmanager
    async def _room(self, place: WritePlace, size: int) -> AsyncIterator[None]:
        """Hold room for a file in the ``with`` body; what it replaces makes room."""
        async with self._lock:
            if self._limits.total is not None:
                used = await in_thread(self._usage.total)
                old = place.look()
                used += self._promised - (old.st_size if old is not None else 0)
                if used + size > self._limits.total:
                    raise Refused(
                        507,
                        f"not enough space: {used} of {self._limits.total} bytes are used, and "
                        f"this needs {size}; remove files, or send it to another server",
                    )
            self._promised += size
        try:
            yield
        finally:
            self._promised -= size


async def _take(request: web.BaseRequest, incoming: AtomicFile, size: int, expected: bytes) -> None:
    """Receive the body and make it durable; raise Refused where it is not what was declared."""
    await in_thread(preallocate, incoming.descriptor, size)
    await go_on(request)
    await receive(request, incoming, size)
    if incoming.digest() != expected:
        raise Refused(422, "the hash of the body differs from the declared hash; send it again")
    await in_thread(incoming.sync)


async def _answer(request: web.BaseRequest, work: Awaitable[web.Response]) -> web.Response:
    try:
        response = await work
    except Refused as refused:
        response = problem(request, refused.status, str(refused))
    except OSError as error:
        response = _of_error(request, error)
    if request.body_exists and not request.content.is_eof():
        response.force_close()  # rather than wait for a body that nobody wants
    return response


def _of_error(request: web.BaseRequest, error: OSError) -> web.Response:
    if isinstance(error, ConnectionError):
        status, line = 400, "the client has gone"  # nobody reads it, and no disk is to blame
    elif error.errno in _FULL:
        status, line = 507, "the disk is full: remove files, or send it to another server"
    elif error.errno in _FORBIDDEN:
        status, line = 403, "the server cannot write there: check the permissions of its folder"
    elif error.errno in _BUSY:
        status, line = 503, "too busy: try again later"
    else:
        error_logger.warning("storing failed: %s", reason(error))
        status, line = 500, "the disk failed: see the messages of the server"
    return problem(request, status, line)


@contextlib.contextmanager
def _placed(root: Root, target: str, *, make: bool) -> Iterator[WritePlace]:
    try:
        place = root.place(target, make=make)
    except UnfitName as error:
        raise Refused(400, f"not stored: {error}") from None
    except FileNotFoundError:
        raise Refused(404, "not found") from None
    except NotADirectoryError:
        raise Refused(
            409, "the path contains a file or a link, and links are not followed"
        ) from None
    except OSError as error:
        if error.errno == errno.ELOOP:  # what some systems say of a link
            raise Refused(409, "the path contains a link, and links are not followed") from None
        raise
    try:
        yield place
    finally:
        place.close()


def _check(conditions: Preconditions, place: WritePlace) -> os.stat_result | None:
    """What the request replaces, None for nothing; raises Refused where it must not."""
    old = place.look()
    if old is not None and not stat.S_ISREG(old.st_mode):
        raise Refused(409, "a folder, a link or a special file has this name")
    try:
        met = conditions.for_writing(None if old is None else _version(old))
    except UnreadableCondition as error:
        raise Refused(400, str(error)) from None
    if not met:
        what = "the file does not exist" if old is None else "the file has changed"
        raise Refused(412, f"{what}: the condition is not met")
    return old


def _version(status: os.stat_result) -> Version:
    return Version(status.st_mtime_ns, status.st_size)
