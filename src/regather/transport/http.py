"""HTTP/1.1 over plain blocking sockets: the fast path for bulk bytes.

Why not a client library: this is the hot path, and a blocking ``recv_into`` with MSG_WAITALL into
a small reused buffer lets the kernel fill the whole buffer while no Python runs; libraries copy,
or return for every packet. h11 reads and writes all heads. A Python-level time-out would make the
socket non-blocking underneath and defeat MSG_WAITALL, so time-outs are the kernel's (SO_RCVTIMEO,
SO_SNDTIMEO).
"""

from __future__ import annotations

import contextlib
import functools
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urljoin, urlsplit

from regather.transport.base import TICK, Failure, RequestFailed
from regather.transport.head import (
    MAX_HEAD_BYTES,
    ChunkedBody,
    Head,
    check_range,
    check_status,
    parse_head,
    request_bytes,
    split_url,
)
from regather.units import MAX_SIZE

if TYPE_CHECKING:
    import ssl

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_TOTAL = re.compile(r"[0-9]{1,19}")
_NO_HEAD = frozenset((403, 405, 501))
"""Answers of servers, or of signed URLs, that know no HEAD: they are asked for one byte."""
_NOT_TLS = frozenset(("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"))
"""What OpenSSL makes of an answer that is plain text."""
_TLS_ALERT = b"\x15\x03"
_CHEAP_TO_DRAIN = 256 << 10
"""A rest of a body this small is read to its end rather than paid for with a new connection."""


@functools.cache
def default_tls() -> ssl.SSLContext:
    """The context for https, trusting what the system trusts; made when it is first needed."""
    import ssl

    return ssl.create_default_context()


@dataclass(frozen=True, slots=True)
class HttpOptions:
    """How to connect: times in seconds, and what makes the TLS context for https."""

    connect_timeout: float = 5.0
    timeout: float = 15.0
    """After this long without a single byte a request has failed."""
    tls: Callable[[], ssl.SSLContext] = default_tls
    redirects: dict[str, str] = field(default_factory=dict)
    """Where URLs were redirected to, shared by all connections of a download."""


class HttpConnection:
    """One keep-alive connection; follows redirects, never from https to http."""

    def __init__(self, options: HttpOptions) -> None:
        self._options = options
        self._socket: socket.socket | None = None
        self._origin: tuple[str, str, int] | None = None
        self._aborted = False
        self._reset_body()

    def _reset_body(self) -> None:
        self._rest = b""  # bytes of the body that came with the head
        self._left: int | None = 0  # bytes of the body still to come, None: until the end
        self._coded: ChunkedBody | None = None
        self._keep = False
        self._heard = time.monotonic()

    # -- asking ---------------------------------------------------------------------------

    def request(
        self, target: str, start: int, stop: int, size: int | None, validator: str = ""
    ) -> bool:
        """See Connection.request."""
        headers = [("Range", f"bytes={start}-{stop - 1}")]
        if validator and not validator.startswith("W/"):
            headers.append(("If-Range", validator))
        head, url = self._ask("GET", target, headers)
        check_status(head, url)
        ranged, length = check_range(head, url, start, stop, size, validator)
        self._left = None if head.chunked else length
        return ranged

    def probe(self, target: str) -> tuple[int, str]:
        """Ask how many bytes an object has and what tells its version (see Head.validator).

        Raises RequestFailed where the object is not to be had or the server does not tell.
        """
        head, url = self._ask("HEAD", target, [])
        self._left = 0
        self.finish()
        if head.status in _NO_HEAD:
            head, url = self._ask("GET", target, [("Range", "bytes=0-0")])
            self.close()
        check_status(head, url)
        total = head.headers.get("content-range", "").rpartition("/")[2]
        size = int(total) if head.status == 206 and _TOTAL.fullmatch(total) else head.length
        if size is None or size > MAX_SIZE:
            raise RequestFailed(Failure.BAD_RESPONSE, f"{url}: the server does not tell its size")
        page = head.headers.get("content-type", "").startswith("text/html")
        if page and not urlsplit(url).path.lower().endswith((".html", ".htm")):
            raise RequestFailed(Failure.BAD_RESPONSE, f"{url}: answers with a web page, not a file")
        if head.headers.get("content-encoding", "identity") != "identity":
            raise RequestFailed(Failure.BAD_RESPONSE, f"{url}: the server sends it coded")
        return size, head.validator

    def fetch(self, target: str, limit: int) -> tuple[bytes, str]:
        """Fetch a small object whole; returns (bytes, URL after redirects).

        Raises RequestFailed where it has more than ``limit`` bytes or cannot be had.
        """
        head, url = self._ask("GET", target, [])
        check_status(head, url)
        coding = head.headers.get("content-encoding", "identity")
        if head.status != 200 or coding != "identity":
            raise RequestFailed(Failure.BAD_RESPONSE, f"{url}: not sent whole and plain")
        self._left = None if head.chunked else head.length
        if self._left is not None and self._left > limit:
            raise RequestFailed(Failure.BAD_RESPONSE, f"{url}: larger than {limit} bytes")
        body = bytearray()
        until_end = self._left is None
        buffer = memoryview(bytearray(64 << 10))
        while self._left != 0:
            try:
                count = self.receive(buffer)
            except RequestFailed as error:
                if until_end and error.failure is Failure.TRUNCATED and self._coded is None:
                    break
                raise
            body += buffer[:count]
            if len(body) > limit:
                raise RequestFailed(Failure.BAD_RESPONSE, f"{url}: larger than {limit} bytes")
        self.finish()
        return bytes(body), url

    def _ask(self, method: str, target: str, headers: list[tuple[str, str]]) -> tuple[Head, str]:
        url = self._options.redirects.get(target, target)
        remembered = url != target
        for _ in range(_MAX_REDIRECTS + 1):
            parts = split_url(url)
            head = self._exchange(parts, request_bytes(method, parts, headers))
            location = head.headers.get("location")
            if remembered and head.status >= 400:
                # A redirect may hold for a while only, as to a signed URL: ask for a new one.
                self._options.redirects.pop(target, None)
                self.close()
                url, remembered = target, False
                continue
            if head.status not in _REDIRECTS or not location:
                if url != target:
                    self._options.redirects[target] = url
                return head, url
            self.close()
            try:
                onward = urljoin(url, location)
            except ValueError:
                raise RequestFailed(
                    Failure.BAD_RESPONSE, f"{url}: redirects to no URL: {location!r}"
                ) from None
            if split_url(onward).scheme == "http" and parts.scheme == "https":
                raise RequestFailed(
                    Failure.BAD_RESPONSE, f"{url}: redirects from https to http: refused"
                )
            url = onward
        raise RequestFailed(Failure.BAD_RESPONSE, f"{target}: more than {_MAX_REDIRECTS} redirects")

    def _exchange(self, url: SplitResult, request: bytes) -> Head:
        """Send a request head and read a response head, on a kept connection where there is one."""
        port = url.port or (443 if url.scheme == "https" else 80)
        origin = (url.scheme, url.hostname or "", port)
        if self._origin != origin:
            self.close()
        kept = self._socket is not None
        try:
            return self._exchange_once(origin, request)
        except RequestFailed as error:
            # The server may close an idle connection at any time: that is no failure of its own.
            if not kept or error.failure not in (Failure.RESET, Failure.TRUNCATED):
                raise
        return self._exchange_once(origin, request)

    def _exchange_once(self, origin: tuple[str, str, int], request: bytes) -> Head:
        self._reset_body()
        if self._socket is None:
            self._connect(origin)
        assert self._socket is not None
        try:
            self._socket.sendall(request)
        except OSError as error:
            raise self._failed(error) from error
        self._heard = time.monotonic()
        # A head has the time-out as a whole: drops of it, or interim heads, do not prolong it.
        until = self._heard + self._options.timeout
        received = b""
        while True:
            if time.monotonic() > until:
                raise self._silent()
            if received.startswith(_TLS_ALERT) and origin[0] == "http":
                where = self._where()
                self.close()
                raise RequestFailed(Failure.BAD_RESPONSE, f"{where}: speaks TLS: use https://")
            end = received.find(b"\r\n\r\n")
            if end >= 0:
                try:
                    head = parse_head(received[: end + 4])
                except RequestFailed:
                    self.close()
                    raise
                received = received[end + 4 :]
                if head is not None:
                    break
            elif len(received) > MAX_HEAD_BYTES:
                self.close()
                raise RequestFailed(Failure.BAD_RESPONSE, "response head without end")
            else:
                received += self._more(16 << 10)
        self._keep = head.keep_alive
        if head.chunked:
            self._coded = ChunkedBody(received)
        else:
            self._rest = received
        return head

    def _connect(self, origin: tuple[str, str, int]) -> None:
        scheme, host, port = origin
        where = f"{host}:{port}"
        try:
            addresses = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise RequestFailed(Failure.UNREACHABLE, f"{where}: unknown host ({error})") from None
        last: OSError | None = None
        for family, kind, protocol, _, address in addresses:
            try:
                made = socket.socket(family, kind, protocol)
                self._socket = made  # so that abort() reaches it
                made.settimeout(self._options.connect_timeout)
                made.connect(address)
                if scheme == "https":
                    context = self._options.tls()
                    # TLS reads record by record, so nothing is lost by a Python time-out.
                    self._socket = context.wrap_socket(made, server_hostname=host)
                    self._socket.settimeout(TICK)
                else:
                    made.setblocking(True)
                    tick = struct.pack("@ll", 0, int(TICK * 1_000_000))
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, tick)
                    wait = struct.pack("@ll", int(self._options.timeout) + 1, 0)
                    made.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)
                with contextlib.suppress(OSError):
                    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                if getattr(error, "reason", "") in _NOT_TLS:
                    self.close()
                    raise RequestFailed(
                        Failure.BAD_RESPONSE, f"{where}: speaks no TLS: use http://"
                    ) from None
                if why := getattr(error, "verify_message", ""):
                    self.close()
                    raise RequestFailed(
                        Failure.FORBIDDEN, f"{where}: certificate refused ({why})"
                    ) from None
                last = error
                self.close()
                if self._aborted:
                    raise RequestFailed(Failure.ABORTED, "aborted") from None
                continue
            self._origin = origin
            if self._aborted:
                self.close()
                raise RequestFailed(Failure.ABORTED, "aborted")
            return
        if isinstance(last, TimeoutError):
            raise RequestFailed(Failure.TIMEOUT, f"{where}: no connection in time") from None
        why = (last.strerror if last else None) or str(last)
        raise RequestFailed(Failure.UNREACHABLE, f"{where}: {why}") from None

    # -- receiving ------------------------------------------------------------------------

    def receive(self, into: memoryview) -> int:
        """See Connection.receive."""
        if self._coded is not None:
            return self._receive_coded(into)
        wanted = len(into) if self._left is None else min(len(into), self._left)
        have = 0
        if self._rest:
            have = min(wanted, len(self._rest))
            into[:have] = self._rest[:have]
            self._rest = self._rest[have:]
        if have < wanted:
            have += self._fill(into[have:wanted], have == 0)
        if self._left is not None:
            self._left -= have
        return have

    def _fill(self, into: memoryview, first: bool) -> int:
        if self._socket is None:
            raise RequestFailed(Failure.RESET, "connection closed")
        try:
            if self._origin and self._origin[0] == "https":
                count = self._fill_tls(self._socket, into)
            else:
                count = self._socket.recv_into(into, len(into), socket.MSG_WAITALL)
        except (BlockingIOError, TimeoutError):
            if first and time.monotonic() - self._heard > self._options.timeout:
                self.close()
                raise RequestFailed(
                    Failure.TIMEOUT, f"{self._where()}: no byte for {self._options.timeout:g} s"
                ) from None
            return 0
        except OSError as error:
            raise self._failed(error) from error
        if count == 0:
            if first:
                raise self._ended()
            return 0
        self._heard = time.monotonic()
        return count

    def _fill_tls(self, connection: socket.socket, into: memoryview) -> int:
        have = 0
        until = time.monotonic() + TICK
        while have < len(into):
            try:
                count = connection.recv_into(into[have:])
            except TimeoutError:
                if have:
                    return have
                raise
            if count == 0:
                return have
            have += count
            if time.monotonic() > until:
                return have
        return have

    def _receive_coded(self, into: memoryview) -> int:
        assert self._coded is not None
        if not self._rest:
            self._rest = self._coded.read(lambda: self._more(64 << 10))
            if not self._rest:
                self._left = 0
                self._coded = None
                raise self._ended()
        count = min(len(into), len(self._rest))
        into[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count

    def _more(self, size: int) -> bytes:
        """Whatever comes next off the wire, at least one byte; waits up to the time-out."""
        while True:
            assert self._socket is not None
            try:
                data = self._socket.recv(size)
            except (BlockingIOError, TimeoutError):
                if time.monotonic() - self._heard > self._options.timeout:
                    raise self._silent() from None
                continue
            except OSError as error:
                raise self._failed(error) from error
            if not data:
                raise self._ended()
            self._heard = time.monotonic()
            return data

    # -- ending ---------------------------------------------------------------------------

    def finish(self) -> None:
        """See Connection.finish."""
        left = self._left
        if self._keep and self._coded is None and left is not None and left <= _CHEAP_TO_DRAIN:
            scratch = memoryview(bytearray(left))
            try:
                while self._left:
                    if not self.receive(scratch):
                        break
            except RequestFailed:
                pass
            if self._left == 0 and not self._rest:
                return
        self.close()

    def abort(self) -> None:
        """See Connection.abort."""
        self._aborted = True
        connection = self._socket
        if connection is not None:
            with contextlib.suppress(OSError):
                # The plain method: SSLSocket.shutdown would tear down state that is in use.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def close(self) -> None:
        """See Connection.close."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
        self._socket = None
        self._origin = None
        self._keep = False

    def _where(self) -> str:
        return f"{self._origin[1]}:{self._origin[2]}" if self._origin else "server"

    def _silent(self) -> RequestFailed:
        where = self._where()
        self.close()
        return RequestFailed(Failure.TIMEOUT, f"{where}: no answer for {self._options.timeout:g} s")

    def _ended(self) -> RequestFailed:
        where = self._where()
        self.close()
        if self._aborted:
            return RequestFailed(Failure.ABORTED, "aborted")
        return RequestFailed(Failure.TRUNCATED, f"{where}: connection ended too early")

    def _failed(self, error: OSError) -> RequestFailed:
        where = self._where()
        self.close()
        if self._aborted:
            return RequestFailed(Failure.ABORTED, "aborted")
        kind = Failure.TIMEOUT if isinstance(error, TimeoutError) else Failure.RESET
        return RequestFailed(kind, f"{where}: {error.strerror or error}")
