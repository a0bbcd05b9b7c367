"""Our own server, or one that takes PUT and DELETE as it does, as a store."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote, urljoin

from regather.names import without_secrets
from regather.transport.base import Failure, RequestFailed
from regather.transport.fields import link_text
from regather.transport.head import Head, failure_of
from regather.transport.http import HttpConnection
from regather.transport.options import TransportOptions
from regather.transport.reading import read_range
from regather.transport.upload import ReadInto, Stat, check_name, stat_of
from regather.transport.wire import Body

_DONE = frozenset((200, 201, 204))
_FAILURES = {
    405: Failure.FORBIDDEN,
    412: Failure.EXISTS,
    413: Failure.NO_SPACE,
    422: Failure.DAMAGED,
    507: Failure.NO_SPACE,
}


class HttpStore:
    """Objects below a base URL; see Store."""

    def __init__(self, base: str, options: TransportOptions) -> None:
        self._base = base
        self._connection = HttpConnection(options)

    def stat(self, name: str) -> Stat | None:
        """See Store.stat."""
        return stat_of(self._connection, self._target(name))

    def put(
        self, name: str, size: int, read: ReadInto, blake3: bytes, *, replace: bool = True
    ) -> None:
        """See Store.put."""
        headers = [
            ("Content-Type", "application/octet-stream"),
            ("Regather-Blake3", blake3.hex()),
        ]
        if not replace:
            headers.append(("If-None-Match", "*"))
        self._submit("PUT", name, headers, Body(size, read))

    def delete(self, name: str) -> None:
        """See Store.delete."""
        self._submit("DELETE", name, [], None)

    def read(self, name: str, start: int, stop: int) -> Iterator[memoryview]:
        """See Store.read."""
        return read_range(self._connection, self._target(name), start, stop)

    def abort(self) -> None:
        """See Store.abort."""
        self._connection.abort()

    def close(self) -> None:
        """See Store.close."""
        self._connection.close()

    def _submit(
        self, method: str, name: str, headers: list[tuple[str, str]], body: Body | None
    ) -> None:
        target = self._target(name)
        head, text = self._connection.submit(method, target, headers, body)
        if head.status not in _DONE:
            raise self._failed(head, text, target)

    def _failed(self, head: Head, text: str, target: str) -> RequestFailed:
        detail = f"{target}: HTTP {head.status}"
        if 300 <= head.status < 400:
            text = f"redirects to {_onward(head, target)}: give that address"
        if text and not head.page:
            detail += f" ({text[:200]})"
        return RequestFailed(
            _FAILURES.get(head.status) or failure_of(head.status),
            detail + self._connection.advice(head, target, target),
            retry_after=head.retry_after,
            status=head.status,
        )

    def _target(self, name: str) -> str:
        check_name(name)
        return self._base + quote(name, safe="")


def _onward(head: Head, target: str) -> str:
    """Where a redirect leads, without what may be a secret in it."""
    location = head.headers.get("location", "")
    try:
        return without_secrets(urljoin(target, link_text(location))) if location else "nowhere"
    except ValueError:
        return "no URL"
