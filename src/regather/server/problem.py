"""Errors as documents: ``application/problem+json`` (RFC 9457), or one line of text for people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import hdrs, web

from regather.server.accept import HTML, JSON, prefers

PROBLEM = "application/problem+json"
_JSON = (PROBLEM, *JSON)
_TEXT = ("text/plain", *HTML)


def problem(
    request: web.BaseRequest,
    status: int,
    detail: str,
    *,
    headers: Mapping[str, str] | None = None,
    **members: object,
) -> web.Response:
    """The answer to a request that cannot be carried out: what is wrong, in one line.

    It is ``application/problem+json`` with ``title``, ``status``, ``detail`` and ``members``, or
    the detail alone as text where Accept prefers text, as that of browsers does. No cache keeps it.
    """
    others = {hdrs.CACHE_CONTROL: "no-store", **(headers or {})}
    if prefers(request, _TEXT, _JSON):
        return web.Response(status=status, text=f"{detail}\n", headers=others)
    document = {"title": _title(status), "status": status, "detail": detail, **members}
    body = json.dumps(document).encode() + b"\n"
    return web.Response(status=status, body=body, content_type=PROBLEM, headers=others)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"
