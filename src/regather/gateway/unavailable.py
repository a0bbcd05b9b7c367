"""The answer for a piece that cannot be had: what is missing, and where it was expected."""

from __future__ import annotations

import math
import time

from aiohttp import hdrs, web

from regather.engine.missing import all_refused, missing_lines
from regather.engine.reader_room import PieceUnavailable
from regather.engine.steps import SteppedSession
from regather.gateway.hosted import HostedFile
from regather.server.access_log import error_logger
from regather.server.problem import problem

_MOST_SECONDS = 120


def why_not(
    request: web.BaseRequest,
    hosted: HostedFile,
    number: int,
    error: PieceUnavailable | None,
    seconds: float,
) -> web.Response:
    """502 where no source has it right, 503 where they fail for now, 504 without an ``error``.

    The last is for a piece that did not come within ``seconds``.
    """
    session, sources = hosted.session, hosted.target.sources
    fragment, piece = hosted.layout.locate(number)
    name = hosted.layout.fragments[fragment].name
    lines = missing_lines(hosted.layout, sources, session.tallies, (fragment,))
    headers: dict[str, str] = {}
    if error is None:
        status, what = 504, f"did not come within {seconds:g} s"
    elif error.corrupt or all_refused(sources, session.tallies, (fragment,)):
        status = 502
        what = "came wrong" if error.corrupt else "is at no source"
    else:
        status, what = 503, "is not available now"
        headers[hdrs.RETRY_AFTER] = str(_again_in(session))
    detail = f"piece {piece} of {name} {what}"
    error_logger.warning("%s: %s: %s", hosted.manifest.name, detail, "; ".join(lines))
    return problem(
        request,
        status,
        detail,
        headers=headers,
        missing=[name],
        expected_at=list(lines),
        digest=hosted.digest,
    )


def _again_in(session: SteppedSession) -> int:
    """Seconds until the first source may be asked again."""
    soonest = min((health.retry_at for health in session.healths), default=0.0)
    return max(1, min(math.ceil(soonest - time.monotonic()), _MOST_SECONDS))
