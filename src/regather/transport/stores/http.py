"""Our own server, or one that takes PUT and DELETE as it does, as a store."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from regather.transport.base import Failure, RequestFailed
from regather.transport.head import Head, failure_of
from regather.transport.http import HttpConnection
from regather.transport.options import TransportOptions
from regather.transport.ranges import read_range
from regather.transport.stores.base import ReadInto, Stat, blake3_of, check_name, stat_of
from regather.transport.wire import RequestBody

_DONE = frozenset((200, 201, 202, 204))
_HASH = "Regather-Blake3"
"""Our own server compares it with what came, and says so in its answer."""
_FAILURES = {
    405: Failure.FORBIDDEN,
    412: Failure.EXISTS,
    413: Failure.TOO_LARGE,
    422: Failure.DAMAGED,
    507: Failure.NO_SPACE,
}
_MADE = (200, 201, 204)
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_ADVICE = {
    405: "it does not accept uploads: enable PUT and DELETE (nginx: dav_methods PUT DELETE; "
    "regather serve: --write-token)",
    413: "the file is too large for it: raise its limit (nginx: client_max_body_size; regather "
    "serve: --max-upload), or make smaller fragments (--chunk-size)",
}
_THERE = 405
"""The answer to MKCOL for a folder that is there; and of servers that cannot make any."""
_NO_FOLDER = {409: (*_MADE, _THERE), 500: _MADE}
"""What WebDAV, and nginx, answer where a folder is missing, and which answers to MKCOL mean that it
is worth another try. Most who answer 500 mean something else, and an upload is dear."""
_LONGEST = 500
"""Characters of a redirect's target that are shown."""


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
            (_HASH, blake3.hex()),
        ]
        if not replace:
            headers.append(("If-None-Match", "*"))
        body = RequestBody(size, read)
        try:
            head = self._submit("PUT", name, headers, body)
        except RequestFailed as error:
            worth = _NO_FOLDER.get(error.status or 0)
            if worth is None or self._make_folder(self._base) not in worth:
                raise
            head = self._submit("PUT", name, headers, body)
        if head.headers.get(_HASH.lower()) != blake3.hex():
            self._read_back(name, size, blake3)

    def _make_folder(self, url: str) -> int:
        """Make a folder, and those above; returns the status of the answer, 0 where there is none.

        As WebDAV does it: RFC 4918, 9.3 and 9.7.1.
        """
        if urlsplit(url).path == "/":
            return 0
        try:
            status = self._connection.submit("MKCOL", url, [])[0].status
            if status == 409 and self._make_folder(urljoin(url, "..")) in _NO_FOLDER[409]:
                status = self._connection.submit("MKCOL", url, [])[0].status
        except RequestFailed:
            return 0  # the answer to what was wanted tells more
        return status

    def _read_back(self, name: str, size: int, blake3: bytes) -> None:
        """See what landed where the server has not compared it. Raises RequestFailed: DAMAGED."""
        target = self._target(name)
        stat = self.stat(name)
        if stat is None:
            raise RequestFailed(Failure.DAMAGED, f"{target}: is missing after the upload")
        if stat.size == size and blake3_of(self.read(name, 0, size)) == blake3:
            return
        with contextlib.suppress(RequestFailed):  # nobody else can have relied on it yet
            self.delete(name)
        raise RequestFailed(Failure.DAMAGED, f"{target}: the stored file differs from the upload")

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
        self, method: str, name: str, headers: list[tuple[str, str]], body: RequestBody | None
    ) -> Head:
        target = self._target(name)
        head, text = self._connection.submit(method, target, headers, body)
        if head.status not in _DONE:
            raise self._failed(method, head, text, target)
        return head

    def _failed(self, method: str, head: Head, text: str, target: str) -> RequestFailed:
        detail = f"{target}: HTTP {head.status}"
        failure = _FAILURES.get(head.status) or failure_of(head.status)
        if head.status in _REDIRECTS:
            # Never followed: what is stored, and the token, are for the server that was named.
            failure = Failure.FORBIDDEN
            detail += f"; it redirects to {_place(target, head)}"
        elif text and not head.page:
            detail += f" ({text[:200]})"
        if advice := _ADVICE.get(head.status):
            detail += f"; {advice}"
        elif method == "PUT" and head.status in _NO_FOLDER:
            detail += (
                "; its folder may be missing: create it (nginx: create_full_put_path on), or see "
                "the log of the server"
            )
        return RequestFailed(
            failure,
            detail + self._connection.advice(head, target, target),
            retry_after=head.retry_after,
            status=head.status,
        )

    def _target(self, name: str) -> str:
        check_name(name)
        return self._base + quote(name, safe="")


def _place(target: str, head: Head) -> str:
    """The folder that a redirect leads to, without what may be secret in it: login and query.

    With what to do about it, where it leads to a file of the same name in another folder.
    """
    try:
        location = head.headers.get("location", "")
        parts = urlsplit(urljoin(target, location)) if location else urlsplit("")
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return "an invalid address"
    if not host:
        return "nowhere"
    folder, _, name = parts.path.rpartition("/")
    place = urlunsplit((parts.scheme, host, f"{folder}/", "", ""))[:_LONGEST]
    here, _, own = target.rpartition("/")
    if name != own:
        return f"{place}, not to a file of that name: a login may be required (--token)"
    return f"{place}: give that address with --to" if place != f"{here}/" else "itself"
