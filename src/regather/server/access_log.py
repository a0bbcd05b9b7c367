"""What the server writes down: one line a request, free of anything that a client could forge."""

from __future__ import annotations

import logging
import sys
import time

from aiohttp import hdrs, web
from aiohttp.abc import AbstractAccessLogger, AbstractStreamWriter
from aiohttp.http_exceptions import HttpProcessingError

from regather._version import __version__
from regather.logs import json_line
from regather.names import host_port


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
    """Writes finished requests to stderr, also those that aiohttp itself refused as malformed.

    ``log_format`` is ``json`` or else text.
    """

    def log(
        self, request: web.BaseRequest, response: web.StreamResponse, time: float | None
    ) -> None:
        """Write a line; ``time`` is in seconds."""
        line = _json if self.log_format == "json" else _text
        try:
            print(line(request, response, time or 0.0), file=sys.stderr, flush=True)
        except OSError:
            pass  # whoever read the log went away; serving goes on


def _text(request: web.BaseRequest, response: web.StreamResponse, seconds: float) -> str:
    """Client, method, path, range, status, body bytes really sent and seconds."""
    words = (
        _address(request, "peername") or "-",
        request.method,
        request.raw_path,
        request.headers.get(hdrs.RANGE, "-") or "-",
        str(response.status),
        str(bytes_sent(request, response)),
        f"{seconds:.3f}",
    )
    return " ".join(map(_printable, words))


def _json(request: web.BaseRequest, response: web.StreamResponse, seconds: float) -> str:
    """The same as an object of one line, and what else says who asked whom."""
    headers = request.headers
    return json_line(
        event="request",
        server=_address(request, "sockname"),
        client=_address(request, "peername"),
        method=request.method,
        target=request.raw_path,
        host=headers.get(hdrs.HOST),
        range=headers.get(hdrs.RANGE),
        user_agent=headers.get(hdrs.USER_AGENT),
        status=response.status,
        bytes=bytes_sent(request, response),
        seconds=round(seconds, 3),
    )


def _address(request: web.BaseRequest, name: str) -> str | None:
    """One end of a connection, or None where it is not known any more."""
    transport = request.transport
    address = transport.get_extra_info(name) if transport is not None else None
    if isinstance(address, tuple):
        return host_port(*address[:2])
    return str(address) if address else (request.remote if name == "peername" else None)


def bytes_sent(request: web.BaseRequest, response: web.StreamResponse) -> int:
    """Bytes of the body that were sent, or that aiohttp is about to send."""
    if isinstance(response, BodyResponse):
        return response.sent
    whole = isinstance(response, web.Response) and request.method != hdrs.METH_HEAD
    return (response.content_length or 0) if whole else 0


def _printable(word: str) -> str:
    return word.encode("unicode_escape").decode("ascii").replace(" ", "\\x20")
