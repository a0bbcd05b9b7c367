"""Who may read and who may write: by a secret that the client shows."""

from __future__ import annotations

import base64
import binascii
import hmac
from dataclasses import dataclass, field

from aiohttp import hdrs, web

from regather.server.problem import problem

_CHALLENGE = 'Bearer realm="regather"'


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens that are demanded; None for none. The one for writing permits reading too.

    Without a token for writing nothing can be written; without one for reading all may read.
    """

    read: str | None = field(default=None, repr=False)
    write: str | None = field(default=None, repr=False)

    @property
    def any(self) -> bool:
        """Whether any token is ever demanded."""
        return self.read is not None or self.write is not None

    def refusal(self, request: web.BaseRequest, *, writing: bool) -> web.Response | None:
        """The answer to a request that may not be carried out, or None where it may.

        Whether writing is possible at all is not looked at.
        """
        wanted = self.write if writing else self.read
        if wanted is None and (not writing or self.read is None):
            return None
        shown = _shown(request.headers.get(hdrs.AUTHORIZATION, ""))
        if shown is None:
            what = "writing" if writing else "reading"
            return _unauthorized(request, f"{what} needs a token: send Authorization: Bearer TOKEN")
        # Compared with both in any case, and in constant time: an answer's time tells nothing.
        may_write = _same(shown, self.write)
        may_read = _same(shown, self.read)
        if may_write or (may_read and (not writing or self.write is None)):
            return None
        if may_read:
            return problem(request, 403, "this token permits reading only: send the write token")
        return _unauthorized(request, "wrong token")


def _unauthorized(request: web.BaseRequest, line: str) -> web.Response:
    return problem(request, 401, line, headers={hdrs.WWW_AUTHENTICATE: _CHALLENGE})


def _shown(header: str) -> bytes | None:
    """The secret in an Authorization header, or None.

    Besides ``Bearer`` the password of ``Basic`` counts, whoever the user: that is what tools
    send that read ~/.netrc.
    """
    scheme, _, value = header.strip().partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value.encode("utf-8", "surrogateescape") or None
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(value, validate=True).partition(b":")[2] or None
        except (binascii.Error, ValueError):
            return None
    return None


def _same(shown: bytes, token: str | None) -> bool:
    return hmac.compare_digest(shown, (token or "").encode()) and token is not None
