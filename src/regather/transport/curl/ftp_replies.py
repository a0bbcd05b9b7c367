"""What FTP servers reply, where libcurl's own words for a failure are too few."""

from __future__ import annotations

import re
from collections.abc import Sequence

from regather.transport.base import Failure
from regather.transport.curl.failures import (
    LOGIN_DENIED,
    NO_RANGES,
    NO_TLS,
    PEER_REFUSED,
    Trouble,
)
from regather.transport.curl.login import Access

_ERROR = re.compile(rb"[45][0-9]{2} ")
_CROWDED = re.compile(
    rb"too many|maximum|max\b|limit|connections|try (again )?later", re.IGNORECASE
)
_DENIED = re.compile(rb"permission|permitted|denied|not allowed|forbidden", re.IGNORECASE)
_MOST_SHOWN = 200


def knows_no_ranges(trouble: Trouble, lines: Sequence[bytes]) -> bool:
    """Whether REST, or RETR after it, was refused."""
    return trouble.code == NO_RANGES or b"restart" in _complaint(lines).lower()


def explained(trouble: Trouble, lines: Sequence[bytes], access: Access) -> tuple[Failure, str]:
    """How to take a failure, and what to tell of it; ``lines`` are the server's, if any."""
    said = _complaint(lines)
    code, words = said[:3], said[4:].decode("utf-8", "replace")[:_MOST_SHOWN]
    failure, detail = trouble.failure, trouble.what
    if trouble.code == PEER_REFUSED:
        return failure, access.refused(detail)
    if code == b"421" or (code == b"530" and _CROWDED.search(said)):
        return Failure.BUSY, f"server response: {words!r}"
    if trouble.code == LOGIN_DENIED:
        detail = f"login refused (server response: {words!r})" if words else "login refused"
        return failure, detail + access.advice()
    if trouble.code == NO_TLS:
        return (
            failure,
            f"it does not support TLS (server response: {words!r}){access.advice_on_tls()}",
        )
    if code == b"550" and _DENIED.search(said):
        return Failure.FORBIDDEN, f"server response: {words!r}{access.advice()}"
    if code and failure is not Failure.TRUNCATED:
        detail += f" (server response: {words!r})"
        if code.startswith(b"4"):
            failure = Failure.SERVER_ERROR
    return failure, detail


def _complaint(lines: Sequence[bytes]) -> bytes:
    """The server's last reply that is an error: libcurl may have tidied up after it."""
    return next((line.strip() for line in reversed(lines) if _ERROR.match(line)), b"")
