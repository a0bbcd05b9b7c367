"""HTTP/1.1 heads: what is asked, and what a response says of itself."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from functools import lru_cache
from urllib.parse import SplitResult, quote

from msgspec import Struct

from regather import names
from regather._version import __version__
from regather.origins import Origin, origin_of
from regather.schemes import HTTP
from regather.transport.base import Failure, RequestFailed
from regather.transport.fields import head_fields, media_type
from regather.transport.proxies import Proxy

MAX_HEAD_BYTES = 256 << 10
"""Larger response heads are refused; curl's bound is about the same."""
GOOD = frozenset(range(200, 300)) - {204, 205}
"""Statuses with which bytes of an object come; those of other than 200 and 206 are doubted."""
MAX_RETRY_AFTER = 3600.0
_LONGEST_LINE = 16 << 10
_BEGINNINGS = (b"HTTP/", b"ICY")
_TEXT = re.compile(rb"[ -~]{3,40}")
_TOKEN = r"[-!#$%&'*+.^_`|~0-9a-zA-Z]++"
_REQUEST = re.compile(_TOKEN + r" [!-~]++ HTTP/1\.1")
_FIELD = re.compile(_TOKEN + r": [\t -~\x80-\xff]*+")
_CHUNK_SIZE = rb"([0-9A-Fa-f]{1,15})[ \t]*+(?:;|\Z)"
PROXY_ADVICE = "; the proxy requires a login: --proxy http://USER:PASSWORD@HOST:PORT"
_PAGES = frozenset(("text/html", "application/xhtml+xml"))
_SINGLE = frozenset(
    "content-disposition content-type etag last-modified location retry-after".split()
)
"""Headers that are no lists: where one stands twice, the first counts."""


class Head(Struct, frozen=True, eq=False):
    """The head of a response; not shown, for there may be secrets in it."""

    status: int
    headers: dict[str, str]
    """Lower-case names; lists that stand in several lines are joined with commas."""
    keep_alive: bool
    cookies: tuple[str, ...] = ()
    """The values of Set-Cookie, which cannot be joined: their dates hold commas."""

    __repr__ = object.__repr__

    @property
    def length(self) -> int | None:
        """Content-Length in bytes, None where the server did not say.

        Where the body is chunked it means nothing (RFC 9112, 6.3).
        """
        if self.chunked:
            return None
        value = self.headers.get("content-length", "")
        return int(value) if value.isascii() and value.isdigit() and len(value) < 20 else None

    @property
    def chunked(self) -> bool:
        """Whether the body comes in HTTP's chunked coding."""
        return "transfer-encoding" in self.headers

    @property
    def page(self) -> bool:
        """Whether a web page to be looked at follows, by what the server says."""
        disposition = media_type(self.headers.get("content-disposition", ""))
        kind = media_type(self.headers.get("content-type", ""))
        return kind in _PAGES and disposition != "attachment"

    @property
    def validator(self) -> str:
        """What tells this version of the object from others: entity tag, else date, else empty."""
        return self.headers.get("etag") or self.headers.get("last-modified", "")

    @property
    def retry_after(self) -> float | None:
        """Retry-After in seconds from now (RFC 9110, 10.2.3), bounded; None where not told."""
        value = self.headers.get("retry-after", "").strip()
        if not value:  # what reads dates takes 20 ms to import
            return None
        if value.isascii() and value.isdigit():
            return min(float(value[:9]), MAX_RETRY_AFTER)
        from email.utils import parsedate_to_datetime

        try:
            at = parsedate_to_datetime(value).timestamp()
        except (ValueError, TypeError, OverflowError):
            return None
        return min(max(at - time.time(), 0.0), MAX_RETRY_AFTER)


@lru_cache(maxsize=1024)  # asked several times a request
def split_url(url: str) -> SplitResult:
    """Split an http(s) URL; raise RequestFailed where it is none."""
    try:
        parts = names.split_url(url, HTTP)
    except ValueError as error:
        raise RequestFailed(Failure.BAD_RESPONSE, str(error)) from None
    if parts.username is not None or parts.password is not None:
        raise RequestFailed(
            Failure.BAD_RESPONSE,
            f"a URL with a user name or password, at {parts.hostname}: refused",
        )
    return parts._replace(path=names.without_dots(parts.path))


class HttpRequest(Struct, frozen=True):
    """What is asked of a server: all but the body; not shown, for there may be secrets in it."""

    method: str
    url: SplitResult
    own: tuple[tuple[str, str], ...]
    """Headers beside those of every request."""

    __repr__ = object.__repr__

    @property
    def origin(self) -> Origin:
        """Where it goes."""
        return origin_of(self.url)

    @property
    def authority(self) -> str:
        """Host and port as the URL has them, for Host."""
        return names.without_zone(self.address)

    @property
    def address(self) -> str:
        """The same with the zone of a link-local address, as it stands in URLs (RFC 6874)."""
        return names.idna(self.url.netloc.rpartition("@")[2])

    @property
    def target(self) -> str:
        """Path and query. Spaces and Unicode in them are percent-encoded, once."""
        target = quote(self.url.path or "/", safe="/%:@!$&'()*+,;=~-._")
        if self.url.query:
            target += "?" + quote(self.url.query, safe="/%:@!$&'()*+,;=~-._?")
        return target

    @property
    def headers(self) -> list[tuple[str, str]]:
        """All but Host."""
        given = {name.lower() for name, _ in self.own}
        # As other tools send them: servers may distrust who does not.
        usual = (("User-Agent", f"regather/{__version__}"), ("Accept", "*/*"))
        headers = [one for one in usual if one[0].lower() not in given]
        # A coded body has other offsets than the object: ranges of it would be noise.
        return [*headers, ("Accept-Encoding", "identity"), *self.own]

    def head(self, proxy: Proxy | None = None) -> bytes:
        """The head as it is sent, to the server or, in plain http, to a ``proxy``."""
        target, headers = self.target, [("Host", self.authority), *self.headers]
        if proxy is not None:
            target = f"{self.url.scheme}://{self.authority}{target}"
            headers += proxy.headers
        return head_bytes(self.method, target, headers)


def head_bytes(method: str, target: str, headers: Iterable[tuple[str, str]]) -> bytes:
    """Write the head of a request; raise ValueError where that is not one line a field."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    if not (_REQUEST.fullmatch(lines[0]) and all(_FIELD.fullmatch(line) for line in lines[1:])):
        raise ValueError("not to be sent: characters that a request may not have in its head")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def check_is_http(begun: bytes | bytearray, where: str) -> None:
    """Raise RequestFailed where a response that begins so, at ``where``, cannot become a head.

    Servers of other protocols greet and wait, or close: their answer would come late, or never.
    """
    if not any(one.startswith(begun[: len(one)].upper()) for one in _BEGINNINGS):
        raise RequestFailed(Failure.BAD_RESPONSE, f"{where}: {_not_http(begun)}")


def _not_http(begun: bytes | bytearray) -> str:
    text = _TEXT.match(begun)
    said = f": it begins with {text[0].decode('ascii')!r}" if text else ""
    return f"the response is not HTTP{said}"


def parse_head(data: bytes) -> Head | None:
    """Read one response head (ending in an empty line); None for an interim (1xx) response."""
    answer = head_fields(data)
    if answer is None:
        raise RequestFailed(Failure.BAD_RESPONSE, _not_http(data))
    if answer.status < 200:
        return None
    lines: dict[str, list[str]] = {}
    for name, value in answer.fields:
        lines.setdefault(name, []).append(value)
    cookies = tuple(lines.pop("set-cookie", ()))
    headers = {
        name: values[0] if name in _SINGLE else ", ".join(values) for name, values in lines.items()
    }
    closing = "close" in headers.get("connection", "").lower()
    if (coding := headers.get("transfer-encoding", "chunked")) != "chunked":
        what = f"the response has an unknown transfer coding: {coding[:40]!r}"
        raise RequestFailed(Failure.BAD_RESPONSE, what)
    return Head(answer.status, headers, answer.modern and not closing, cookies)


def check_status(head: Head, what: str, advice: str = "") -> None:
    """Raise RequestFailed for every status that brings no body of the object.

    ``advice`` ends its text.
    """
    status = head.status
    if status in GOOD:
        return
    if status == 407:
        advice += PROXY_ADVICE
    # What servers answer to plain HTTP on a port for TLS; there is no other sign of it.
    if status == 400 and what.startswith("http:"):
        advice += "; is this a port for https?"
    raise RequestFailed(
        failure_of(status),
        f"{what}: HTTP {status}{advice}",
        retry_after=head.retry_after,
        status=status,
    )


def failure_of(status: int) -> Failure:
    """What a status that is an error means for who reads."""
    return _KINDS.get(status) or (Failure.SERVER_ERROR if status >= 500 else Failure.BAD_RESPONSE)


_KINDS = {
    401: Failure.FORBIDDEN,
    403: Failure.FORBIDDEN,
    407: Failure.FORBIDDEN,
    404: Failure.MISSING,
    408: Failure.BUSY,
    410: Failure.MISSING,
    425: Failure.BUSY,
    429: Failure.BUSY,
    503: Failure.BUSY,
    508: Failure.MISSING,  # a gateway that would ask us
}


def refused_by_proxy(status: int, target: str, proxy: Proxy) -> RequestFailed:
    """Why a proxy did not connect us through to ``target``."""
    if status in (401, 407):  # some mix them up
        failure, advice = Failure.FORBIDDEN, PROXY_ADVICE
    elif status == 403:
        failure, advice = Failure.FORBIDDEN, "; it does not permit this"
    else:
        failure, advice = Failure.UNREACHABLE, ""
    return RequestFailed(
        failure, f"{target}: the proxy {proxy.where} responded with HTTP {status}{advice}"
    )


ReceiveHead = Callable[[], bytes]
"""Returns the next bytes off the wire, or nothing at the end."""


class ChunkedBody:
    """Decodes a body in HTTP's chunked coding (RFC 9112, 7.1), as servers write it.

    Lines may end with a bare LF and have blanks. The last chunk ends it: no trailer is read.
    """

    def __init__(self, rest: bytes) -> None:
        self._data = bytearray(rest)
        self._left = 0
        """Bytes of the chunk still to come."""
        self._begun = self._ended = False

    def read(self, more: ReceiveHead) -> bytes:
        """Return the next decoded bytes, or nothing at the end. Raises RequestFailed."""
        out = bytearray()
        while not self._ended:
            if self._left and self._data:
                part = self._data[: self._left]
                del self._data[: len(part)]
                self._left -= len(part)
                out += part
            elif not self._left and (end := self._data.find(b"\n")) >= 0:
                line = bytes(self._data[:end])
                del self._data[: end + 1]
                self._take(line.strip(b" \t\r"))
            elif out:
                break
            elif not self._left and len(self._data) > _LONGEST_LINE:
                raise _not_chunked(self._data)
            else:
                self._data += more()
        return bytes(out)

    def _take(self, line: bytes) -> None:
        """Go on after a line that stands before or behind a chunk."""
        if self._begun and not line:
            self._begun = False
            return
        match = None if self._begun else re.match(_CHUNK_SIZE, line)
        if match is None:
            raise _not_chunked(line)
        self._left = int(match[1], 16)
        self._begun, self._ended = True, not self._left


def _not_chunked(data: bytes | bytearray) -> RequestFailed:
    return RequestFailed(Failure.TRUNCATED, f"invalid chunked body ({bytes(data[:20])!r})")
