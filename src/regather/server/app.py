"""The web application: the server's own addresses, and files under all others."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import hdrs, web

from regather._version import __version__
from regather.server.answers import FileAnswers
from regather.server.faults import Fault
from regather.server.files import Root
from regather.server.state import STATE, State
from regather.server.tokens import Tokens
from regather.server.writing import Limits

__all__ = ["build_app"]


def build_app(
    root: Root,
    *,
    faults: Sequence[Fault] = (),
    fault_seed: int = 0,
    tokens: Tokens | None = None,
    limits: Limits | None = None,
) -> web.Application:
    """Make the application that serves ``root`` and fails as ``faults`` and their seed say.

    ``tokens`` say who may read and write, ``limits`` how much; without them all may read, and
    nobody may write.
    """
    app = web.Application()
    app[STATE] = State()
    files = FileAnswers(
        root, app[STATE], faults, fault_seed, tokens or Tokens(), limits or Limits()
    )
    app.router.add_get("/-/health", _health)
    app.router.add_route("*", "/{path:(?s:.*)}", files.answer, expect_handler=_ask_for_no_body)
    app.on_response_prepare.append(_sign)
    return app


async def _health(request: web.Request) -> web.Response:
    state = request.app[STATE]
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


async def _ask_for_no_body(_: web.Request) -> None:
    """Send no ``100 Continue`` yet: who wants the body asks for it when it may come."""


async def _sign(_: web.Request, response: web.StreamResponse) -> None:
    response.headers[hdrs.SERVER] = f"regather/{__version__}"
