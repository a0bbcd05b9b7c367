"""What answers requests: the server's own addresses, and files under all others."""

from __future__ import annotations

import re

from aiohttp import HttpVersion11, hdrs, web

from regather._version import __version__
from regather.errors import reason
from regather.server.access_log import sign
from regather.server.answers import FileAnswers, target_of

_HOST = re.compile(
    r"(?:\[[0-9A-Za-z:.~!$&'()*+,;=_%-]*+\]|(?:[0-9A-Za-z._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*+)"
    r"(?::[0-9]*+)?"
)


class Application(FileAnswers):
    """Answers all requests, those for the server's own addresses too.

    There is no router: aiohttp's takes quadratic time for long paths.
    """

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if not _names_a_host(request):
            response: web.StreamResponse = web.Response(
                status=400, text="the Host header must name one host\n"
            )
            response.force_close()
        else:
            reads = request.method in (hdrs.METH_GET, hdrs.METH_HEAD)
            match target_of(request) if reads else None:
                case "/-/health":
                    response = self._health()
                case "/-/ready":
                    response = self._ready()
                case _:
                    response = await self.answer(request)
        sign(response)
        return response

    def _ready(self) -> web.Response:
        """Say whether requests for files should come here; 503 where they should not."""
        line, status = "ready", 200
        if self.state.stopping.is_set():
            line, status = "stopping", 503
        else:
            try:
                self._root.check()
            except OSError as error:
                line, status = f"what is served cannot be read: {reason(error)}", 503
        headers = {hdrs.CACHE_CONTROL: "no-store"}
        return web.Response(status=status, text=f"{line}\n", headers=headers)

    def _health(self) -> web.Response:
        state = self.state
        return web.json_response(
            {
                "status": "stopping" if state.stopping.is_set() else "ok",
                "version": __version__,
                "uptime_seconds": round(state.elapsed, 3),
                "requests": state.requests,
                "bytes_sent": state.bytes_sent,
                "connections": state.count_connections(),
            },
            headers={hdrs.CACHE_CONTROL: "no-store"},
        )


def _names_a_host(request: web.BaseRequest) -> bool:
    """Whether there is one right Host header; HTTP/1.0 needs none (RFC 9112 3.2)."""
    hosts = request.headers.getall(hdrs.HOST, ())
    if not hosts:
        return request.version < HttpVersion11
    return len(hosts) == 1 and _HOST.fullmatch(hosts[0]) is not None
