"""What the server writes down: one line a request, free of anything that a client could forge."""

from __future__ import annotations

import logging
import sys
import time

from aiohttp import hdrs, web
from aiohttp.abc import AbstractAccessLogger, AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError

from regather._version import __version__
from regather.names import bracketed


def _is_ours(record: logging.LogRecord) -> bool:
    """Whether an error is the server's: a malformed request is a matter for the access log."""
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


error_logger = logging.getLogger("regather.server")
"""Takes what goes wrong in the server itself."""
error_logger.addFilter(_is_ours)


class BodyResponse(web.StreamResponse):
    """An answer whose body is sent past aiohttp, out of a file."""

    sent = 0
    """Bytes of the body sent so far."""
    head_at: float | None = None
    """When the head was sent, by the monotonic clock."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the head."""
        self.head_at = time.monotonic()
        return await super().prepare(request)


def sign(response: web.StreamResponse) -> None:
    """Say who answers."""
    response.headers[hdrs.SERVER] = f"regather/{__version__}"


class AccessLog(AbstractAccessLogger):
    """Writes finished requests, also those that aiohttp itself refused as malformed."""

    def log(
        self, request: web.BaseRequest, response: web.StreamResponse, time: float | None
    ) -> None:
        """See log_request; ``time`` is in seconds."""
        log_request(request, response, time or 0.0)


def log_request(request: web.BaseRequest, response: web.StreamResponse, seconds: float) -> None:
    """Write client, method, path, range, status, body bytes really sent and seconds to stderr."""
    peer = request.transport.get_extra_info("peername") if request.transport else request.remote
    if isinstance(peer, tuple):
        peer = f"{bracketed(peer[0])}:{peer[1]}"
    words = (
        str(peer or "-"),
        request.method,
        request.raw_path,
        request.headers.get(hdrs.RANGE, "-") or "-",
        str(response.status),
        str(bytes_sent(request, response)),
        f"{seconds:.3f}",
    )
    try:
        print(*map(_printable, words), file=sys.stderr, flush=True)
    except OSError:
        pass  # whoever read the log went away; serving goes on


def bytes_sent(request: web.BaseRequest, response: web.StreamResponse) -> int:
    """Bytes of the body that were sent, or that aiohttp is about to send."""
    if isinstance(response, BodyResponse):
        return response.sent
    whole = isinstance(response, web.Response) and request.method != hdrs.METH_HEAD
    return (response.content_length or 0) if whole else 0


def _printable(word: str) -> str:
    return word.encode("unicode_escape").decode("ascii").replace(" ", "\\x20")
