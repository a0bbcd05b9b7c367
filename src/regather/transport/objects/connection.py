"""Objects of stores, over obstore: their ranges, and what is asked before a download."""

from __future__ import annotations

from email.utils import format_datetime
from typing import TYPE_CHECKING

from regather.transport.base import Failure, Look, RequestFailed
from regather.transport.objects.failures import StoreFailed
from regather.transport.objects.object_ranges import ObjectRanges, validator_of

if TYPE_CHECKING:
    from obstore import GetOptions, ObjectMeta

    from regather.transport.objects.clients import Client

_UNEXPLAINED = frozenset((400, 401, 403))
"""Statuses that may have many reasons. 404 may have two, but most often something is not there."""


class ObjectConnection(ObjectRanges):
    """Objects of a store; ``target`` is like ``s3://bucket/key``, percent-encoded."""

    def probe(self, target: str, *, verified: bool = False) -> tuple[int, str]:
        """Ask for an object's bytes and entity tag. Raises RequestFailed."""
        meta = self._meta(target)
        return meta["size"], validator_of(meta)

    def look(self, target: str, count: int) -> Look:
        """Size, entity tag, date and first ``count`` bytes. Raises RequestFailed."""
        meta = self._meta(target, _UNEXPLAINED | {404})
        size, validator = meta["size"], validator_of(meta)
        ranged, start = True, b""
        if size:
            ranged, start = self._first(target, min(count, size), size, validator)
        date = format_datetime(meta["last_modified"], usegmt=True)
        return Look(size, validator, start, ranged, date)

    def fetch(self, target: str, limit: int) -> tuple[bytes, str]:
        """Fetch a small object whole; returns it and ``target``. Raises as look() does."""
        meta = self._meta(target, _UNEXPLAINED | {404})
        size = meta["size"]
        if size > limit:
            raise RequestFailed(Failure.BAD_RESPONSE, f"{self._what}: larger than {limit} bytes")
        if not size:
            return b"", target
        _, data = self._first(target, size, size, validator_of(meta))
        return data, target

    def _first(self, target: str, count: int, size: int, validator: str) -> tuple[bool, bytes]:
        """Whether ranges are known, and the first ``count`` bytes."""
        ranged = self.request(target, 0, count, size, validator)
        buffer = memoryview(bytearray(count))
        have = 0
        while have < count:
            have += self.receive(buffer[have:])
        self.finish()
        return ranged, bytes(buffer)

    def _meta(self, target: str, unexplained: frozenset[int] = _UNEXPLAINED) -> ObjectMeta:
        address, client = self._client(target)
        import obstore  # which the client has found to be there

        self._what = str(address)
        try:
            return self.run(lambda: obstore.head_async(client, address.key), self._what)
        except StoreFailed as failure:
            if failure.status not in unexplained or failure.code:
                raise
            raise self._explained(failure, client, address.key) from None

    def _explained(self, failure: StoreFailed, client: Client, key: str) -> RequestFailed:
        """The same failure with the store's own word for it.

        What is answered to a HEAD has no body, in which the code stands: so ask for a byte.
        """
        import obstore

        try:
            # Only the head is waited for: nobody knows how long what follows would be.
            first: GetOptions = {"range": (0, 1)}
            self.run(lambda: obstore.get_async(client, key, options=first), self._what)
        except StoreFailed as told:
            if told.status == failure.status and told.code:
                return told
        except RequestFailed as told:
            if told.failure is Failure.ABORTED:
                return told
        return failure
