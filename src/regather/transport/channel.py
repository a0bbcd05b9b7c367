"""One keep-alive connection for HTTP/1.1 exchanges: what is sent, and the heads of answers.

``Receiver`` takes the bodies. h11 reads and writes all heads.
"""

from __future__ import annotations

import contextlib
import socket
import time

from regather.origins import Origin
from regather.transport.base import Failure, RequestFailed
from regather.transport.connect import connect, peer, reached, refused_by_tls
from regather.transport.dial import HURRY
from regather.transport.fields import head_end
from regather.transport.head import (
    MAX_HEAD_BYTES,
    ChunkedBody,
    Head,
    HttpRequest,
    check_is_http,
    parse_head,
)
from regather.transport.proxies import Proxy
from regather.transport.receiver import Receiver
from regather.transport.wire import RequestBody, early_answer, send, send_until

_CONTINUE_WAIT = 3.0
"""Seconds to wait to be asked for a body; servers that do not know how get it then."""
_TLS_ALERT = b"\x15\x03"


class Channel(Receiver):
    """Sends requests and receives answers, one at a time; only abort() from another thread."""

    def exchange(self, request: HttpRequest, body: RequestBody | None = None) -> Head:
        """Send a request and read the head of its answer, on a kept connection if there is one.

        Set ``left`` afterwards. Raises RequestFailed, and whatever ``body.read`` raises.
        """
        origin = request.origin
        if self._origin != origin or self._ahead not in (None, request):
            self.close()
        kept = self._socket is not None
        early = self._ahead is not None
        try:
            head = self._exchange_once(request, body)
            # Servers say so of a connection that was idle: it is no answer to this request.
            if not kept or head.status != 408:
                return head
            self.close()
        except RequestFailed as error:
            if early:
                # Perhaps it cannot do it, perhaps it failed anyway: it is not tried again.
                self._options.unpipelined.add(origin)
            # The server may close an idle connection at any time: that is no failure of its own.
            # And bytes beyond the length of the body before may stand where a head should.
            gone = error.failure in (Failure.RESET, Failure.TRUNCATED)
            garbled = error.failure is Failure.BAD_RESPONSE and body is None
            if not kept or not (gone or garbled):
                raise
        return self._exchange_once(request, body)

    def send_ahead(self, request: HttpRequest) -> None:
        """Send the next request while the body of this one comes (RFC 9112, 9.3.2).

        Its answer follows at once where the server goes on with it, and ``exchange`` with the
        same request takes it. Does nothing where the connection will not be kept, and where one
        was sent already; a failure shows in what follows.
        """
        if (
            self._socket is None
            or not self._keep
            or self._coded is not None
            or self._left is None
            or self._ahead is not None
            or self._origin != request.origin
            or request.origin in self._options.unpipelined
            or self._proxy_of(request) is not None
        ):
            return
        with contextlib.suppress(OSError):
            send(self._socket, memoryview(request.head()), self._options.timeout)
            self._ahead = request

    def _exchange_once(self, request: HttpRequest, body: RequestBody | None) -> Head:
        self._reset_body()
        sent, self._ahead = self._ahead is not None, None
        if not sent:
            self._rest = b""
        fresh = self._socket is None
        if fresh:
            self._connect(request.origin)
        assert self._socket is not None
        address = peer(self._socket) if fresh and body is None else ""
        host, port = reached(request.origin, self._options)
        # One that says nothing may be the only one of several that does not work (RFC 8305, 7).
        hurried = bool(address) and self._options.silent.others(host, port, address)
        try:
            head = None
            whole = sent or self._send(memoryview(request.head(self._proxy_of(request))), fresh)
            self._heard = time.monotonic()
            patience = self._options.timeout / (HURRY if hurried else 1)
            if body is not None and whole:
                if body.expect:
                    wait = min(_CONTINUE_WAIT, self._options.timeout)
                    head = self._read_head(wait, interim=True)
                if head is None:
                    whole = self._send_body(body)
                    self._heard = time.monotonic()
                    patience += body.patience
            if head is None:
                head = self._read_head(patience)
            assert head is not None
        except RequestFailed as error:
            self.close()
            if not hurried or error.failure is not Failure.TIMEOUT:
                raise
            self._options.silent.add(host, port, address)
            return self._exchange_once(request, body)
        except BaseException:
            self.close()
            raise
        self._keep = head.keep_alive and whole
        if head.chunked:
            self._coded, self._rest = ChunkedBody(self._rest), b""
        return head

    def _proxy_of(self, request: HttpRequest) -> Proxy | None:
        """The proxy that reads the request itself: through others it goes unseen, in TLS."""
        plain = request.origin[0] == "http"
        return self._options.proxies.of(request.origin) if plain else None

    def _connect(self, origin: Origin) -> None:
        def made(connection: socket.socket | None) -> bool:
            self._hold(connection)
            return not self._aborted

        try:
            self._hold(connect(origin, self._options, made))
        except BaseException:
            self.close()
            raise
        self._origin = origin

    def _send(self, data: memoryview, fresh: bool) -> bool:
        """Send a head; False where the server answered before and closed.

        Only on a fresh connection: on another what came is no answer to this.
        """
        assert self._socket is not None
        try:
            send(self._socket, data, self._options.timeout)
        except OSError as error:
            if not fresh:
                raise self._failed(error) from error
            self._take_last_words(error)
            return False
        return True

    def _send_body(self, body: RequestBody) -> bool:
        """Send a body; False where the server answered before it had all."""
        assert self._socket is not None
        buffer = memoryview(bytearray(body.step))
        at = 0
        while at < body.size:
            into = buffer[: min(len(buffer), body.size - at)]
            body.read(at, into)
            try:
                if not send_until(self._socket, into, self._options.timeout, self._is_answered):
                    return False
            except OSError as error:
                self._take_last_words(error)
                return False
            at += len(into)
        return True

    def _take_last_words(self, error: OSError) -> None:
        """Take the answer of a server that closed, for it tells more than the error of sending.

        Raises RequestFailed where there is none.
        """
        assert self._socket is not None
        try:
            self._rest += early_answer(self._socket)
        except OSError as told:
            if refused_by_tls(told, self._where):
                error = told
        if head_end(self._rest) < 0:
            raise self._failed(error) from error

    def _is_answered(self) -> bool:
        """Whether an answer has begun that is not interim, as a late 100 is."""
        assert self._socket is not None
        self._rest += early_answer(self._socket)
        while (end := head_end(self._rest)) >= 0 and parse_head(self._rest[:end]) is None:
            self._rest = self._rest[end:]
        return bool(self._rest)

    def _read_head(self, patience: float, *, interim: bool = False) -> Head | None:
        """Read the head of the answer, skipping interim ones.

        ``patience`` is in seconds. With ``interim`` an interim head, and silence too, give None.
        """
        # A head has its time as a whole: drops of it, or interim heads, do not prolong it.
        until = time.monotonic() + patience
        # Some send more than they said, or an empty line first.
        received, looked = bytearray(self._rest.lstrip(b"\r\n")), 0
        while True:
            end, looked = head_end(received, looked), len(received)
            if end >= 0:
                head = parse_head(bytes(received[:end]))
                del received[:end]
                looked = 0
                if head is not None or interim:
                    self._rest = bytes(received)
                    return head
            elif received.startswith(_TLS_ALERT) and self._origin and self._origin[0] == "http":
                raise RequestFailed(
                    Failure.BAD_RESPONSE, f"{self._where}: requires TLS: use https://"
                )
            elif len(received) > MAX_HEAD_BYTES:
                raise RequestFailed(Failure.BAD_RESPONSE, "response header too long")
            else:
                check_is_http(received, self._where)
                more = self._more(16 << 10, until)
                received += more if received else more.lstrip(b"\r\n")
                if not more:
                    if interim and not received:
                        return None
                    raise self._silent(patience)
            if time.monotonic() > until and not interim:
                raise self._silent(patience)
