"""Asks servers and goes where they redirect: who gets what on the way, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from regather.names import host_port, without_secrets
from regather.origins import Origin, origin_of
from regather.tokens import is_loopback
from regather.transport.base import Failure, RequestFailed
from regather.transport.connect import connect
from regather.transport.fields import link_text
from regather.transport.head import Head, HttpRequest, split_url
from regather.transport.options import TransportOptions
from regather.transport.tls import speaks_tls
from regather.transport.trace import traced
from regather.transport.wire import RequestBody

if TYPE_CHECKING:
    from regather.transport.channel import Channel
    from regather.transport.curl.channel import CurlChannel

__all__ = ["Redirects", "holds", "shown"]

_MOST = 20
"""Redirects that are followed, as browsers do; counters of downloads make chains of them."""
_MOST_PLACES = 3
"""Places that a redirector is asked for, where those before do not have it."""
_REDIRECTS = frozenset((300, 301, 302, 303, 307, 308))
_STALE = frozenset((Failure.UNREACHABLE, Failure.TIMEOUT, Failure.RESET, Failure.TRUNCATED))
"""Failures after which a remembered redirect is asked for again."""
_PERHAPS_TLS = frozenset((Failure.RESET, Failure.TRUNCATED, Failure.BAD_RESPONSE))
"""How a server that speaks TLS fails where it is asked in plain http."""
_FINAL = frozenset((401, 407, 412, 416))
"""Errors that another mirror would answer with too."""


def shown(target: str, url: str) -> str:
    """How to speak of ``url``, which ``target`` led to: the query of a redirect is its secret."""
    return url if url == target else without_secrets(url)


def holds(headers: list[tuple[str, str]], name: str) -> bool:
    """Whether a header is among these."""
    return any(one.lower() == name for one, _ in headers)


class Redirects:
    """Sends requests over a channel and follows redirects, never from https to http."""

    def __init__(self, channel: Channel | CurlChannel, options: TransportOptions) -> None:
        self._channel = channel
        self._send = traced(channel.exchange)
        self._options = options

    def own_headers(self, target: str, url: str) -> list[tuple[str, str]]:
        """Headers with what is the user's own.

        Those that were set for a host, and credentials, only where ``url`` is at the server that
        ``target`` names; a cookie says itself for whom it is.
        """
        origin = origin_of(split_url(url))
        headers: list[tuple[str, str]] = []
        if origin == origin_of(split_url(target)):
            headers += self._options.hosts.headers(origin, self._options.credentials.warn)
            if not holds(headers, "authorization"):
                value = self._options.credentials.header(origin)
                if value is not None:
                    headers.append(("Authorization", value))
        own = [value for name, value in headers if name.lower() == "cookie"]
        if cookie := self._options.cookies.header(url, given=not own):
            headers = [pair for pair in headers if pair[0].lower() != "cookie"]
            headers.append(("Cookie", "; ".join((*own, cookie))))  # RFC 6265, 5.4: one of them
        return headers

    def loop_headers(self) -> list[tuple[str, str]]:
        """For whom requests are made, so that they do not go round in circles."""
        ids = self._options.cdn_loop
        return [] if ids is None else [("CDN-Loop", ids())]

    def ask(
        self,
        method: str,
        target: str,
        headers: list[tuple[str, str]],
        hops: list[tuple[str, Head]] | None = None,
    ) -> tuple[Head, str]:
        """Ask, following redirects; returns the last head and its URL. ``hops`` gets all heads.

        Where a redirect leads to an error, its server is asked again: it may know another mirror,
        or a signed URL that is not yet void.
        """
        known = self._options.redirects
        url = known.get(target, target)
        failed: dict[str, Head] = {}
        left = _MOST
        while True:
            head = self._exchange(method, target, url, headers)
            if hops is not None:
                hops.append((shown(target, url), head))
            location = head.headers.get("location")
            if head.status in _REDIRECTS and location is not None:  # empty: itself
                self._channel.close()
                if not left:
                    raise RequestFailed(
                        Failure.BAD_RESPONSE, f"{target}: more than {_MOST} redirects"
                    )
                url, left = _onward(target, url, location), left - 1
                if url in failed:  # it knows no other
                    return failed[url], url
                continue
            if url == target:
                return head, url
            if head.status < 400 or head.status in _FINAL:
                known[target] = url
                return head, url
            known.pop(target, None)
            if len(failed) == _MOST_PLACES:
                return head, url
            failed[url] = head
            self._channel.close()
            if hops is not None:
                hops.clear()
            url, left = target, _MOST

    def _exchange(self, method: str, target: str, url: str, headers: list[tuple[str, str]]) -> Head:
        own = self.own_headers(target, url)
        request = HttpRequest(method, split_url(url), (*headers, *self.loop_headers(), *own))
        try:
            head = self.exchange(request, secret=bool(own))
        except RequestFailed as error:
            if url != target and error.failure in _STALE:
                # It may lead elsewhere by now: the next request asks.
                self._options.redirects.pop(target, None)
            raise
        self._options.cookies.learn(url, head.cookies)
        return head

    def exchange(
        self, request: HttpRequest, body: RequestBody | None = None, *, secret: bool
    ) -> Head:
        """See Channel.exchange; who speaks TLS where plain http is meant is told as such.

        Before a ``secret`` goes out in the clear it is asked whether that is so.
        """
        origin = request.origin
        unsure = (
            origin[0] == "http"
            and origin not in self._options.answering
            and self._options.proxies.of(origin) is None
        )
        if unsure and secret and not is_loopback(origin[1]):
            self._check_plain(origin)
        try:
            head = self._send(request, body)
        except RequestFailed as error:
            if unsure and error.failure in _PERHAPS_TLS:
                self._check_plain(origin)
            raise
        self._options.answering.add(origin)
        return head

    def _check_plain(self, origin: Origin) -> None:
        """Raise RequestFailed where an origin of plain http speaks TLS."""
        try:
            speaks = speaks_tls(connect(origin, self._options, lambda _: True))
        except RequestFailed:  # it is asked itself, and tells why
            return
        if speaks:
            where = host_port(*origin[1:])
            raise RequestFailed(Failure.BAD_RESPONSE, f"{where}: requires TLS: use https://")


def _onward(target: str, url: str, location: str) -> str:
    """Where a redirect leads. Raises RequestFailed, which does not show it."""
    where = shown(target, url)
    try:
        onward = urljoin(url, link_text(location))
        # A login of the redirecting server's own is left out: who needs it says so.
        login, at, _ = urlsplit(onward).netloc.rpartition("@")
        onward = onward.replace(login + at, "", 1)
        parts = split_url(onward)
    except ValueError:
        raise RequestFailed(Failure.BAD_RESPONSE, f"{where}: redirects to an invalid URL") from None
    except RequestFailed as error:
        raise RequestFailed(Failure.BAD_RESPONSE, f"{where}: redirects to {error.what}") from None
    if parts.scheme == "http" and split_url(url).scheme == "https":
        raise RequestFailed(Failure.BAD_RESPONSE, f"{where}: redirects from https to http: refused")
    return onward
