"""HTTP exchanges by libcurl, in the place of Channel: SOCKS, HTTPS proxies, HTTP/2."""

from __future__ import annotations

import re
from typing import Any

from regather.names import bracketed
from regather.origins import ascii_host
from regather.tokens import is_address
from regather.transport.base import Failure, RequestFailed
from regather.transport.curl import library
from regather.transport.curl.failures import PEER_REFUSED, PROXY_UNREACHABLE, TLS_FAILED, Trouble
from regather.transport.curl.tls_and_proxy import (
    configure_proxy,
    configure_tls,
    refused_certificate,
)
from regather.transport.curl.transfer import Transfer
from regather.transport.dial import HURRY
from regather.transport.head import (
    MAX_HEAD_BYTES,
    Head,
    HttpRequest,
    parse_head,
    refused_by_proxy,
)
from regather.transport.options import TransportOptions
from regather.transport.wire import RequestBody

_CHEAP_TO_DRAIN = 256 << 10
_STATUS_LINE = re.compile(rb"HTTP/[0-9.]+ ([0-9]{3})")
_SUPPRESS_CONNECT_HEADERS = 265
"""An option that pycurl has no name for: the heads of proxies' answers are not of interest."""
_NOT_TLS = re.compile(r"wrong version number|http request|packet length too long")
"""What OpenSSL makes of an answer that is plain text."""
_TUNNEL_REFUSED = re.compile(r"response (\d{3})")


class CurlChannel:
    """Sends requests and receives answers, one at a time; only abort() from another thread."""

    def __init__(self, options: TransportOptions) -> None:
        """Raises UsageError where libcurl is missing."""
        self._options = options
        self._transfer = self._new_transfer()
        self._closed = False
        self._aborted = False
        self._request: HttpRequest | None = None
        self._place: tuple[str, int] | None = None
        self._addresses: list[str] = []
        self.left: int | None = 0
        """Bytes of the answer's body still to come; None: until the transfer ends."""

    def _new_transfer(self) -> Transfer:
        curl = library(self._options.needs_libcurl)
        # HTTP/2 ends a stream, and the connection goes on.
        return Transfer(curl, self._options, shared=self._options.http2)

    @property
    def coded(self) -> bool:
        """Whether the body comes in a coding that tells its end: libcurl has taken it off."""
        return False

    def exchange(self, request: HttpRequest, body: RequestBody | None = None) -> Head:
        """See Channel.exchange."""
        if self._closed:  # after a failure
            self._transfer = self._new_transfer()
            self._closed = False
            if self._aborted:
                self._transfer.abort()
        self._request = request
        self._addresses = self._looked_up(request)
        sending = _Sending(body, self._transfer) if body is not None else None
        self._transfer.begin(lambda easy: self._configure(easy, request, sending))
        hurried = body is None and len(self._addresses) > 1
        if hurried:
            self._transfer.patience /= HURRY
        blocks = _Blocks(self._transfer.lines)
        try:
            self._transfer.until(blocks.complete)
        except RequestFailed as error:
            if hurried and error.failure is Failure.TIMEOUT and not self._aborted:
                address = str(self._transfer.info("PRIMARY_IP"))
                self._options.silent.add(*request.origin[1:], address)
                self.close()
                self._place = None
                if address in self._addresses:
                    return self.exchange(request)
            raise self._fail(error.failure, error.what) from None
        self._transfer.patience = self._options.timeout
        self._transfer.lives()
        if sending is not None and sending.error is not None:
            self.close()
            raise sending.error
        if not blocks.complete():
            trouble = self._transfer.trouble
            if trouble is None:
                raise self._fail(Failure.TRUNCATED, "connection closed too early")
            raise self._troubled(trouble)
        if len(blocks.head) > MAX_HEAD_BYTES:
            raise self._fail(Failure.BAD_RESPONSE, "response header too long")
        head = parse_head(blocks.head)
        assert head is not None
        return head

    def _looked_up(self, request: HttpRequest) -> list[str]:
        """The addresses that a request may go to, but those that say nothing; see Channel.

        None where libcurl itself may look them up: of a host that only a proxy may know.
        """
        _, host, port = request.origin
        if self._options.proxies.of(request.origin) is not None or is_address(host):
            return []
        if self._place != (host, port):
            self._place = host, port
            try:
                found = [str(one[4][0]) for one in self._options.silent.ordered(host, port)]
            except (OSError, UnicodeError):
                found = []
            speak = [one for one in found if self._options.silent.speaks(host, port, one)]
            self._addresses = speak or found
        return self._addresses

    def send_ahead(self, request: HttpRequest) -> None:
        """See Channel.send_ahead: libcurl cannot."""

    def receive(self, into: memoryview) -> int:
        """See Connection.receive."""
        wanted = len(into) if self.left is None else min(len(into), self.left)
        if not wanted:
            return 0
        try:
            count = self._transfer.receive(into[:wanted])
        except RequestFailed as error:
            raise self._fail(error.failure, error.what) from None
        if not count and self._transfer.ended:
            if self._transfer.trouble is not None:
                raise self._troubled(self._transfer.trouble)
            if self.left is None:
                self.left = 0
            raise self._fail(Failure.TRUNCATED, "connection closed too early")
        if self.left is not None:
            self.left -= count
        return count

    def finish(self) -> None:
        """See Connection.finish."""
        if self._closed:
            return
        if self.left and self.left <= _CHEAP_TO_DRAIN:
            scratch = memoryview(bytearray(self.left))
            try:
                while self.left and self.receive(scratch):
                    pass
            except RequestFailed:
                return
        self._transfer.finish(whole=self.left == 0)

    def abort(self) -> None:
        """See Connection.abort."""
        self._aborted = True
        self._transfer.abort()

    def close(self) -> None:
        """See Connection.close."""
        self._closed = True
        self._transfer.close()

    def forsake(self) -> None:
        """See Connection.forsake: libcurl would say good-bye to the server, so it is left alone."""

    # -- how it is asked ------------------------------------------------------------------

    def _configure(self, easy: Any, request: HttpRequest, sending: _Sending | None) -> None:
        import pycurl

        scheme = request.origin[0]
        easy.setopt(pycurl.URL, f"{scheme}://{request.address}{request.target}")
        if self._addresses:
            _, host, port = request.origin
            known = ",".join(map(bracketed, self._addresses))
            easy.setopt(pycurl.RESOLVE, [f"{ascii_host(host)}:{port}:{known}"])
        easy.setopt(pycurl.PATH_AS_IS, 1)
        easy.setopt(_SUPPRESS_CONNECT_HEADERS, 1)
        easy.setopt(pycurl.PROTOCOLS, getattr(pycurl, f"PROTO_{scheme.upper()}"))
        # Where to go, and what to take along there, is not its affair.
        easy.setopt(pycurl.FOLLOWLOCATION, 0)
        easy.setopt(
            pycurl.HTTP_VERSION,
            pycurl.CURL_HTTP_VERSION_2TLS if self._options.http2 else pycurl.CURL_HTTP_VERSION_1_1,
        )
        headers = dict(request.headers)
        if sending is not None:
            easy.setopt(pycurl.UPLOAD, 1)
            easy.setopt(pycurl.INFILESIZE_LARGE, sending.size)
            easy.setopt(pycurl.READFUNCTION, sending.read)
            headers.pop("Content-Length", None)  # it writes that itself
            headers.setdefault("Expect", "")
        elif request.method == "HEAD":
            easy.setopt(pycurl.NOBODY, 1)
        if request.method not in ("GET", "HEAD"):
            easy.setopt(pycurl.CUSTOMREQUEST, request.method)
        lines = [f"{name}: {value}".encode("latin-1") for name, value in headers.items()]
        easy.setopt(pycurl.HTTPHEADER, lines)
        configure_proxy(easy, self._options, request.origin)
        configure_tls(easy, self._options, request.origin)

    # -- failing --------------------------------------------------------------------------

    def _troubled(self, trouble: Trouble) -> RequestFailed:
        assert self._request is not None
        proxy = self._options.proxies.of(self._request.origin)
        refused = _TUNNEL_REFUSED.search(trouble.text)
        if refused and proxy is not None and "CONNECT" in trouble.text:
            self.close()
            return refused_by_proxy(int(refused[1]), self._request.authority, proxy)
        detail = trouble.what
        if trouble.code == PEER_REFUSED:
            detail = refused_certificate(detail)
        if trouble.code == TLS_FAILED and _NOT_TLS.search(detail):
            return self._fail(Failure.BAD_RESPONSE, "does not support TLS: use http://")
        if proxy is not None and trouble.code in PROXY_UNREACHABLE:
            self.close()
            why = PROXY_UNREACHABLE[trouble.code]
            return RequestFailed(trouble.failure, f"{proxy.where} (the proxy): {why}")
        return self._fail(trouble.failure, detail)

    def _fail(self, failure: Failure, detail: str) -> RequestFailed:
        self.close()
        if self._aborted:
            return RequestFailed(Failure.ABORTED, "aborted")
        where = self._request.authority if self._request is not None else "server"
        return RequestFailed(failure, f"{where}: {detail}")


class _Blocks:
    """Finds the head of the answer proper among the lines of all heads that came."""

    def __init__(self, lines: list[bytes]) -> None:
        self._lines = lines
        self._looked = 0
        self._block: list[bytes] = []
        self.head = b""

    def complete(self) -> bool:
        """Whether it is there, in ``head``."""
        while not self.head and self._looked < len(self._lines):
            line = self._lines[self._looked]
            self._looked += 1
            blank = not line.strip()
            if blank and not self._block:
                continue  # left over from the body before
            self._block.append(line)
            if not blank:
                continue
            block, self._block = self._block, []
            match = _STATUS_LINE.match(block[0])
            status = int(match[1]) if match else 0
            if 100 <= status < 200:
                continue
            # HTTP/2 has no status line; what libcurl writes for it is not quite one.
            first = b"HTTP/1.1 %d \r\n" % status if match else block[0]
            if block[0].startswith((b"HTTP/2", b"HTTP/3")):
                # The end of a body is told there, as it is by this coding.
                first += b"Transfer-Encoding: chunked\r\n"
            self.head = first + b"".join(block[1:])
        return bool(self.head)


class _Sending:
    """Gives libcurl a body to send."""

    def __init__(self, body: RequestBody, transfer: Transfer) -> None:
        self._transfer = transfer
        self.size = body.size
        self.error: BaseException | None = None
        self._body = body
        self._at = 0

    def read(self, count: int) -> bytes:
        """The next bytes, at most ``count``; none at the end or after an error."""
        self._transfer.lives()
        into = bytearray(min(count, self.size - self._at))
        try:
            if into:
                self._body.read(self._at, memoryview(into))
        except BaseException as error:  # nothing may be raised through libcurl
            self.error = error
            return b""
        self._at += len(into)
        if into and self._at == self.size:
            self._transfer.patience += self._body.patience
        return bytes(into)
