"""Ranges of objects, over obstore: streams that can be broken off, and are held to what was asked.

What obstore does not see is checked here: that a range is as long as it was asked for, that an
object is as long as it must be, and that its entity tag is still the same.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future
from typing import TYPE_CHECKING, Any, TypeVar

from regather.errors import UsageError
from regather.transport.base import TICK, Failure, RequestFailed
from regather.transport.objects.clients import client_of
from regather.transport.objects.failures import (
    failed,
    knows_no_ranges,
    lost_before_an_answer,
)
from regather.transport.objects.loop import submit
from regather.transport.objects.object_address import ObjectAddress, address_of
from regather.transport.objects.pump import ObjectBody
from regather.transport.options import TransportOptions
from regather.units import counted

if TYPE_CHECKING:
    from obstore import GetOptions, GetResult, ObjectMeta

    from regather.transport.objects.clients import Client

_LEAST, _MOST = 64 << 10, 1 << 20
"""Bytes that obstore collects before it hands them on."""
_STEPS = 20
"""Of the bytes of a second, so many steps are made."""
_T = TypeVar("_T")
_Asked = tuple[str, int, int, str]


class ObjectRanges:
    """Reads ranges of objects; ``target`` is like ``s3://bucket/key``, percent-encoded."""

    def __init__(self, options: TransportOptions) -> None:
        self._options = options
        self._body: ObjectBody | None = None
        self._next: tuple[_Asked, ObjectBody] | None = None
        self._call: Future[Any] | None = None
        self._what = ""
        self._rest = memoryview(b"")
        self._left = 0
        self._began = 0.0
        self._received = 0
        self._step = _LEAST
        self._complete = False
        self._aborted = False

    def request(
        self, target: str, start: int, stop: int, size: int | None, validator: str = ""
    ) -> bool:
        """See Connection.request."""
        self._drop_body()
        self._complete = False
        address, client = self._client(target)
        self._what = str(address)
        body = self._taken_ahead((target, start, stop, validator))
        ranged, again = True, True
        while True:
            wanted = _wanted(start, stop, validator) if ranged else _whole(validator)
            body = body or ObjectBody(client, address.key, wanted, self._step)
            try:
                head = self._head_of(body)
                break
            except RequestFailed:
                raise
            except Exception as error:
                body = None
                if ranged and knows_no_ranges(error):
                    ranged = False
                elif again and lost_before_an_answer(error):
                    again = False
                else:
                    raise self._range_failed(error, start, stop, validator) from None
        self._check(head, start, stop, size, validator, ranged=ranged)
        self._left = stop - start if ranged else head.meta["size"]
        self._began, self._received = time.monotonic(), 0
        return ranged

    def _taken_ahead(self, asked: _Asked) -> ObjectBody | None:
        """The body that was asked for ahead, if it is this one."""
        ahead, self._next = self._next, None
        if ahead is None or ahead[0] == asked:
            return ahead and ahead[1]
        ahead[1].cancel()
        return None

    def _head_of(self, body: ObjectBody) -> GetResult:
        """What a body is answered with; raises what obstore does, and RequestFailed if aborted."""
        self._body = body
        if self._aborted:
            body.cancel()
        try:
            return body.head()
        except asyncio.CancelledError:
            raise self._aborted_here() from None
        except BaseException:
            self._body = None
            raise

    def _range_failed(
        self, error: Exception, start: int, stop: int, validator: str
    ) -> RequestFailed:
        failure = failed(error, self._what)
        if failure.status == 416:
            return RequestFailed(
                Failure.BAD_RESPONSE,
                f"{self._what}: has no bytes {start}-{stop - 1}",
                status=416,
            )
        if failure.failure is Failure.CHANGED:
            return RequestFailed(
                Failure.CHANGED,
                f"{self._what}: changed in the store during the download",
                status=412,
            )
        return failure

    def _check(
        self,
        head: GetResult,
        start: int,
        stop: int,
        size: int | None,
        validator: str,
        *,
        ranged: bool,
    ) -> None:
        meta = head.meta
        flaw = ""
        if validator and (tag := validator_of(meta)) and tag != validator:
            self._drop_body()
            raise RequestFailed(
                Failure.CHANGED, f"{self._what}: changed in the store during the download"
            )
        if size is not None and meta["size"] != size:
            flaw = f"has {counted(meta['size'], 'byte')}, must have {size}"
        elif meta["size"] < stop:
            flaw = f"has {counted(meta['size'], 'byte')}, must have {stop}"
        elif ranged and tuple(head.range) != (start, stop):
            flaw = f"requested bytes {start}-{stop - 1}, received others"
        if flaw:
            self._drop_body()
            raise RequestFailed(Failure.BAD_RESPONSE, f"{self._what}: {flaw}")

    def ahead(self, target: str, start: int, stop: int, validator: str = "") -> None:
        """See Connection.ahead: asked for at once, and held back until it is its turn."""
        if self._next is not None or self._aborted or self._body is None:
            return
        try:
            address, client = self._client(target)
        except RequestFailed:
            return  # request tells it
        wanted = _wanted(start, stop, validator)
        self._next = (
            (target, start, stop, validator),
            ObjectBody(client, address.key, wanted, self._step),
        )

    def receive(self, into: memoryview) -> int:
        """See Connection.receive."""
        if self._aborted:
            raise self._aborted_here()
        want = min(len(into), self._left)
        until = time.monotonic() + TICK
        have = 0
        while have < want:
            if not self._rest:
                chunk = self._more(until)
                if chunk is None:
                    break
                self._rest = memoryview(chunk)
            taken = min(want - have, len(self._rest))
            into[have : have + taken] = self._rest[:taken]
            self._rest = self._rest[taken:]
            have += taken
            self._left -= taken
        self._complete = not self._left
        return have

    def _more(self, until: float) -> bytes | None:
        if self._body is None:
            raise RequestFailed(Failure.RESET, f"{self._what}: no body")
        try:
            chunk = self._body.next(until)
        except asyncio.CancelledError:
            raise self._aborted_here() from None
        except Exception as error:
            self._drop_body()
            raise failed(error, self._what) from None
        if chunk is None:
            return None
        if not chunk:  # obstore does not count
            self._drop_body()
            raise RequestFailed(Failure.TRUNCATED, f"{self._what}: the body was truncated")
        self._received += len(chunk)
        # Little steps where it is slow, for progress is told by them; else fewer, which cost less.
        rate = self._received / max(time.monotonic() - self._began, 1e-6)
        self._step = int(min(max(rate / _STEPS, _LEAST), _MOST))
        return chunk

    def finish(self) -> None:
        """See Connection.finish."""
        self._drop_body()

    def abort(self) -> None:
        """See Connection.abort; holds until close()."""
        self._aborted = True
        for pending in (self._body, self._call):
            if pending is not None:
                pending.cancel()

    def close(self) -> None:
        """See Connection.close."""
        self._drop_body()
        ahead, self._next = self._next, None
        if ahead is not None:
            ahead[1].cancel()
        self._aborted = False

    def forsake(self) -> None:
        """See Connection.forsake: obstore's sockets are its own, and it is not there any more."""

    def _drop_body(self) -> None:
        body, self._body = self._body, None
        if body is not None and not self._complete:  # else its connection can be used again
            body.cancel()
        self._rest, self._left = memoryview(b""), 0

    def run(self, work: Callable[[], Coroutine[Any, Any, _T]], what: str) -> _T:
        """Await something of obstore's that may be done twice, and be broken off by abort().

        Raises RequestFailed.
        """

        async def awaited() -> _T:
            return await work()

        again = True
        while True:
            call = self._call = submit(awaited())
            if self._aborted:
                call.cancel()
            try:
                result: _T = call.result()
                return result
            except (asyncio.CancelledError, CancelledError):
                raise self._aborted_here() from None
            except Exception as error:
                if not (again and lost_before_an_answer(error)):
                    raise failed(error, what) from None
                again = False
            finally:
                self._call = None

    def _client(self, target: str) -> tuple[ObjectAddress, Client]:
        """Raises RequestFailed; see check() for what the user named."""
        try:
            address = address_of(target)
            return address, client_of(address, self._options, "read")
        except ValueError as error:
            raise RequestFailed(Failure.BAD_RESPONSE, str(error)) from None
        except UsageError as error:
            detail = f"{error.what}; {error.help}" if error.help else error.what
            raise RequestFailed(Failure.FORBIDDEN, f"{target}: {detail}") from None

    @staticmethod
    def _aborted_here() -> RequestFailed:
        return RequestFailed(Failure.ABORTED, "aborted")


def validator_of(meta: ObjectMeta) -> str:
    """What tells this version of an object from others: its entity tag, or its date."""
    return meta["e_tag"] or ""


def _wanted(start: int, stop: int, validator: str) -> GetOptions:
    options: GetOptions = {"range": (start, stop)}
    return {**options, **_whole(validator)}


def _whole(validator: str) -> GetOptions:
    return {"if_match": validator} if validator else {}
