"""Errors as documents: ``application/problem+json`` (RFC 9457), or one line of text for people."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import hdrs, web

PROBLEM = "application/problem+json"
_QUALITY = re.compile(r"[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*", re.IGNORECASE)
_JSON = (PROBLEM, "application/json", "application/*", "*/*")
_TEXT = ("text/plain", "text/html", "text/*", "*/*")


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
    if _prefers_text(request):
        return web.Response(status=status, text=f"{detail}\n", headers=others)
    document = {"title": _title(status), "status": status, "detail": detail, **members}
    body = json.dumps(document).encode() + b"\n"
    return web.Response(status=status, body=body, content_type=PROBLEM, headers=others)


def _title(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def _prefers_text(request: web.BaseRequest) -> bool:
    qualities = {}
    for element in ",".join(request.headers.getall(hdrs.ACCEPT, ())).split(","):
        media_range, *parameters = element.split(";")
        quality = 1.0
        for parameter in parameters:
            if match := _QUALITY.fullmatch(parameter):
                quality = float(match[1])
        qualities[media_range.strip(" \t").lower()] = quality

    def best(kinds: tuple[str, ...]) -> float:
        """The quality of the most specific range that names one of the kinds."""
        named = [qualities[kind] for kind in kinds if kind in qualities and "*" not in kind]
        ranges = (qualities[kind] for kind in kinds if kind in qualities)
        return max(named) if named else next(ranges, 0.0)

    return best(_TEXT) > best(_JSON)
