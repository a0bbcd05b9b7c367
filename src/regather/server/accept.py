"""Which kind of answer a client likes best (RFC 9110, 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aiohttp import hdrs, web

_QUALITY = re.compile(r"[ \t]*q=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*", re.IGNORECASE)
JSON = ("application/json", "application/*", "*/*")
HTML = ("text/html", "text/*", "*/*")
"""Media ranges, the most specific first."""


def prefers(request: web.BaseRequest, kinds: Sequence[str], others: Sequence[str]) -> bool:
    """Whether what the ``kinds`` name is liked better than what the ``others`` do."""
    qualities: dict[str, float] = {}
    for element in ",".join(request.headers.getall(hdrs.ACCEPT, ())).split(","):
        media_range, *parameters = element.split(";")
        quality = 1.0
        for parameter in parameters:
            if match := _QUALITY.fullmatch(parameter):
                quality = float(match[1])
        qualities[media_range.strip(" \t").lower()] = quality

    def best(kinds: Sequence[str]) -> float:
        """The quality of the most specific range that names one of the kinds."""
        named = [qualities[kind] for kind in kinds if kind in qualities and "*" not in kind]
        ranges = (qualities[kind] for kind in kinds if kind in qualities)
        return max(named) if named else next(ranges, 0.0)

    return best(kinds) > best(others)
