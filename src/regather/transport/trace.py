"""Each request in the log, where somebody asked for that; what is secret stays out of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from regather.errors import TransportError
from regather.logs import DEBUG, Logger
from regather.names import without_secrets
from regather.transport.head import Head, HttpRequest
from regather.transport.wire import RequestBody

__all__ = ["traced"]

_log = Logger("regather.requests")
Exchange = Callable[[HttpRequest, RequestBody | None], Head]


def traced(exchange: Exchange) -> Exchange:
    """``exchange``, or, where requests are logged, one that tells of each and how long it took."""
    if not _log.is_enabled_for(DEBUG):
        return exchange

    def told(request: HttpRequest, body: RequestBody | None = None) -> Head:
        began = time.monotonic()
        answer = ""
        try:
            head = exchange(request, body)
            answer = f"HTTP {head.status}"
            if "content-range" in head.headers:
                answer += f", {head.headers['content-range'][:80]}"
            elif head.length is not None:
                answer += f", {head.length} bytes"
            return head
        except TransportError as error:
            answer = error.what
            raise
        finally:
            asked = next((v for n, v in request.own if n.lower() == "range"), "whole")
            _log.debug(
                "%s %s (%s): %s, %.0f ms",
                *(request.method, without_secrets(request.url.geturl()), asked, answer or "?"),
                1000 * (time.monotonic() - began),
            )

    return told
