"""A proxy in this process, between obstore and endpoints that the user named.

obstore reads every answer that is no object into memory, however long it is: an endpoint whose
error never ends fills it. Nothing of obstore's bounds that. So what it asks of such an endpoint
goes through here, over our own connections, and no more of an answer passes than belongs to it.

To obstore the endpoint speaks plain http; TLS is ours. Others on this machine cannot use the
proxy: each client of obstore has a secret of its own.
"""

from __future__ import annotations

import base64
import contextlib
import os
import secrets
import select
import socket
import threading
import weakref
from collections.abc import Iterable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urljoin, urlsplit

from msgspec.structs import replace

from regather.origins import Origin, origin_of
from regather.transport.base import Failure, RequestFailed
from regather.transport.channel import Channel
from regather.transport.connect import tunnel
from regather.transport.head import Head, HttpRequest, split_url
from regather.transport.objects.store_options import StoreOptions
from regather.transport.options import TransportOptions
from regather.transport.wire import RequestBody

__all__ = ["STATUSES", "Way", "open_way", "why"]

MAX_ANSWER = 64 << 10
"""Bytes of an error, or of an answer that is no object: all stores keep to a few thousand."""
_MAX_TUNNEL = 4 << 20
"""Bytes that come through a tunnel: only services that give out tokens are reached by one."""
_SMALL = 1 << 20
"""Bytes up to which a request's body is held here, so that it can be sent once more."""
_STEP = 256 << 10
_MARGIN = 5.0
"""Seconds that we wait longer than obstore, whose time-outs are the ones that count."""
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 20
_TO_ANYBODY = frozenset(("accept", "if-match", "if-none-match", "range", "user-agent"))
"""Headers that a redirect may lead to another server; signatures, tokens and keys are none."""
_OF_CONNECTION = frozenset(
    ("connection", "proxy-connection", "proxy-authorization", "keep-alive", "te", "trailer")
)
STATUSES = {
    590: Failure.UNREACHABLE,
    591: Failure.TIMEOUT,
    592: Failure.FORBIDDEN,
    593: Failure.BAD_RESPONSE,
}
"""What obstore is answered where there is no answer."""
_NUMBERS = {failure: status for status, failure in STATUSES.items()}
_why: dict[tuple[str, int], str] = {}


def why(place: str, status: int) -> str:
    """What last kept a host and port from answering, where obstore saw such a status."""
    return _why.get((place, status), "")


@dataclass(eq=False)
class Way:
    """How the clients of one endpoint get there; ends when nobody has it any more."""

    endpoint: Origin
    endpoint_seen: str
    """As obstore is to see it: in plain http."""
    options: TransportOptions
    secret: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)

    def real(self, url: str) -> str:
        """The URL that obstore means by one in plain http."""
        return self.endpoint[0] + url.removeprefix("http")

    @property
    def proxy_url(self) -> str:
        """What obstore is told: not to be shown."""
        return f"http://{self.secret}:x@127.0.0.1:{_guard.port()}"


def open_way(endpoint: str, options: TransportOptions, patience: float) -> Way:
    """A way to an endpoint, whose answers may take ``patience`` seconds; keep it while in use."""
    parts = urlsplit(endpoint)
    seen = parts._replace(scheme="http").geturl()
    # Without the clients, which connections here would keep alive for minutes.
    options = replace(options, timeout=patience + _MARGIN, stores=StoreOptions())
    way = Way(origin_of(parts), seen, options)
    _guard.ways[way.secret] = way
    return way


class _Guard:
    """The server of this process, begun when it is first needed."""

    def __init__(self) -> None:
        self.ways: weakref.WeakValueDictionary[str, Way] = weakref.WeakValueDictionary()
        self._lock = threading.Lock()
        self._server: _GuardedServer | None = None
        self._owner = 0

    def port(self) -> int:
        """Where it listens, on loopback."""
        with self._lock:
            if self._server is None or self._owner != os.getpid():  # threads survive no fork
                self._server, self._owner = _GuardedServer(("127.0.0.1", 0), _Relay), os.getpid()
                threading.Thread(
                    target=self._server.serve_forever, name="obstore-guard", daemon=True
                ).start()
            return int(self._server.server_address[1])


class _GuardedServer(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that ended: whoever it was of knows."""


class _Relayed(HttpRequest, frozen=True):
    host: str = ""

    @property
    def authority(self) -> str:
        """Host as it was signed."""
        return self.host


class _Relay(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 0
    disable_nagle_algorithm = True
    _channel: Channel | None = None
    _way: Way | None = None
    _sent = False
    _left = 0

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: secrets could stand in it."""

    def finish(self) -> None:
        if self._channel is not None:
            self._channel.close()
        super().finish()

    def _known(self) -> Way | None:
        shown = self.headers.get("Proxy-Authorization", "").partition(" ")[2]
        with contextlib.suppress(ValueError):
            return _guard.ways.get(base64.b64decode(shown).decode().partition(":")[0])
        return None

    def _relay(self) -> None:
        way = self._known()
        length = self.headers.get("Content-Length", "0")
        if way is None or not length.isdecimal() or not self.path.startswith("http://"):
            self.close_connection = True
            self.send_error(407)
            return
        self._sent, self._left = False, int(length)
        try:
            self._exchange(way, int(length))
        except RequestFailed as failed:
            self.close_connection = True
            status = _NUMBERS.get(failed.failure)
            # Where a connection was lost, obstore is to see just that.
            if status is not None and not self._sent:
                _why[urlsplit(self.path).netloc, status] = failed.what
                self._head(status, [("Content-Length", "0")])
        except OSError:
            self.close_connection = True  # obstore has gone

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _relay

    def do_CONNECT(self) -> None:
        """A tunnel to a service that gives out tokens: obstore speaks TLS through it itself."""
        self.close_connection = True
        way = self._known()
        if way is None:
            self.send_error(407)
            return
        try:
            parts = urlsplit(f"https://{self.path}/")
            with tunnel(origin_of(parts), way.options) as far:
                self.wfile.write(b"HTTP/1.1 200 -\r\n\r\n")
                _join(self.connection, far, way.options.timeout)
        except (OSError, ValueError, RequestFailed):
            return  # obstore tells it

    def _exchange(self, way: Way, length: int) -> None:
        if self._way is not way or self._channel is None:
            self._way, self._channel = way, Channel(way.options)
        headers = [
            (name, value)
            for name, value in self.headers.items()
            if name.lower() not in _OF_CONNECTION | {"host", "accept-encoding", "content-length"}
        ]
        if length or self.command in ("PUT", "POST"):
            headers.append(("content-length", str(length)))
        url = split_url(way.real(self.path))
        request = _Relayed(self.command, url, tuple(headers), self.headers.get("Host", ""))
        small = b""
        if length > _SMALL:
            self._channel.close()  # an idle connection may be lost, and this is here only once
        else:
            small = self._take(length)

        def read(offset: int, into: memoryview) -> None:
            into[:] = small[offset : offset + len(into)] if small else self._take(len(into))

        body = RequestBody(length, read, at_once=True) if length else None
        head = self._channel.exchange(request, body)
        while self._left:  # it was answered early
            self._take(min(self._left, _STEP))
        self._answer(self._followed(self._channel, request, head))

    def _followed(self, channel: Channel, request: HttpRequest, head: Head) -> Head:
        """What redirects of who reads lead to."""
        for _ in range(_MOST_REDIRECTS):
            to = head.headers.get("location")
            if head.status not in _REDIRECTS or not to or self.command not in ("GET", "HEAD"):
                return head
            channel.left = 0 if self.command == "HEAD" else head.length
            channel.finish()
            url = split_url(urljoin(request.url.geturl(), to))
            if (request.url.scheme, url.scheme) == ("https", "http"):
                raise RequestFailed(Failure.BAD_RESPONSE, "redirects from https to http")
            own = request.own
            if origin_of(url) != request.origin:
                own = tuple((name, value) for name, value in own if name.lower() in _TO_ANYBODY)
            request = HttpRequest(self.command, url, own)
            head = channel.exchange(request)
        raise RequestFailed(Failure.BAD_RESPONSE, "too many redirects")

    def _take(self, count: int) -> bytes:
        """More of what obstore sends. Raises OSError where it has gone."""
        data = self.rfile.read(count)
        if len(data) < count:
            raise ConnectionResetError
        self._left -= count
        return data

    def _answer(self, head: Head) -> None:
        channel, status = self._channel, head.status
        assert channel is not None
        headers = [
            (name, value)
            for name, value in head.headers.items()
            if name not in _OF_CONNECTION | {"transfer-encoding", "content-length", "location"}
        ]
        if self.command == "HEAD" or status in (204, 304):
            channel.left = 0
            if head.length is not None and self.command == "HEAD":
                headers.append(("Content-Length", str(head.length)))
            self._head(status, headers)
            channel.finish()
            return
        channel.left = head.length
        if self.command == "GET" and status in (200, 206):
            self._stream(channel, status, headers)
            return
        answer = _beginning(channel)
        channel.finish()
        self._head(status, [*headers, ("Content-Length", str(len(answer)))])
        self.wfile.write(answer)

    def _stream(self, channel: Channel, status: int, headers: list[tuple[str, str]]) -> None:
        """An object, as fast as it is read."""
        left, coded = channel.left, channel.coded
        if left is None:
            headers.append(("Transfer-Encoding", "chunked"))
        else:
            headers.append(("Content-Length", str(left)))
        self._head(status, headers)
        buffer = memoryview(bytearray(_STEP))
        while channel.left != 0:
            try:
                count = channel.receive(buffer)
            except RequestFailed as failed:
                # Without a length, the end of the connection is that of the body.
                if left is None and not coded and failed.failure is Failure.TRUNCATED:
                    break
                if coded and channel.left == 0:
                    break
                raise
            if count and left is None:
                self.wfile.write(b"%x\r\n" % count)
                self.wfile.write(buffer[:count])
                self.wfile.write(b"\r\n")
            elif count:
                self.wfile.write(buffer[:count])
        channel.finish()
        if left is None:
            self.wfile.write(b"0\r\n\r\n")

    def _head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        self._sent = True
        lines = [f"HTTP/1.1 {status} -", *(f"{name}: {value}" for name, value in headers)]
        if self.close_connection:
            lines.append("Connection: close")
        self.wfile.write("\r\n".join([*lines, "", ""]).encode("latin-1"))


def _join(near: socket.socket, far: socket.socket, patience: float) -> None:
    """Hand bytes on both ways until one end closes, is silent for too long, or sends too many."""
    came = 0
    near.settimeout(patience)
    far.settimeout(patience)
    while came < _MAX_TUNNEL:
        ready, _, _ = select.select([near, far], [], [], patience)
        if not ready:
            return
        for one in ready:
            data = one.recv(16 << 10)
            if not data:
                return
            if one is far:
                came += len(data)
            (near if one is far else far).sendall(data)


def _beginning(channel: Channel) -> bytes:
    """The body of an answer that is no object, as far as it may be long."""
    answer, buffer = bytearray(), memoryview(bytearray(MAX_ANSWER))
    while channel.left != 0 and len(answer) < MAX_ANSWER:
        try:
            answer += buffer[: channel.receive(buffer[: MAX_ANSWER - len(answer)])]
        except RequestFailed:
            break  # the status counts
    return bytes(answer)


_guard = _Guard()
