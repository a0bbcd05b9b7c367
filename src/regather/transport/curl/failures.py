"""What libcurl reports, as what it means for what to do next."""

from __future__ import annotations

from dataclasses import dataclass

from regather.transport.base import Failure


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a transfer failed: libcurl's number (libcurl-errors(3)) and text."""

    code: int
    text: str

    @property
    def failure(self) -> Failure:
        """How to take it, as far as the number tells."""
        return _FAILURES.get(self.code, Failure.RESET)

    @property
    def what(self) -> str:
        """What happened; libcurl has no words of its own for everything."""
        return self.text or _WORDS.get(self.code, f"libcurl's error {self.code}")


NO_RANGES = 31
TLS_FAILED = 35
NO_TLS = 64
LOGIN_DENIED = 67
PEER_REFUSED = 60
PROXY_UNREACHABLE = {5: "unknown host", 7: "no connection"}
"""What these say where there is a proxy: libcurl's own words name the server behind it."""

_FAILURES = {
    1: Failure.BAD_RESPONSE,  # unsupported protocol
    3: Failure.BAD_RESPONSE,  # malformed URL
    5: Failure.UNREACHABLE,  # unknown proxy
    6: Failure.UNREACHABLE,  # unknown host
    7: Failure.UNREACHABLE,  # no connection
    8: Failure.SERVER_ERROR,  # weird reply, or an error in one
    9: Failure.FORBIDDEN,  # access denied
    13: Failure.SERVER_ERROR,  # weird reply to PASV
    14: Failure.BAD_RESPONSE,  # weird 227
    15: Failure.BAD_RESPONSE,  # no host in 227
    16: Failure.RESET,  # HTTP/2 framing
    17: Failure.BAD_RESPONSE,  # no binary mode
    18: Failure.TRUNCATED,
    19: Failure.SERVER_ERROR,  # RETR refused
    28: Failure.TIMEOUT,
    30: Failure.SERVER_ERROR,
    NO_RANGES: Failure.BAD_RESPONSE,
    33: Failure.BAD_RESPONSE,  # range error
    TLS_FAILED: Failure.RESET,
    36: Failure.BAD_RESPONSE,  # shorter than where to go on
    52: Failure.TRUNCATED,  # no answer
    55: Failure.RESET,
    56: Failure.RESET,
    58: Failure.FORBIDDEN,  # client certificate
    PEER_REFUSED: Failure.FORBIDDEN,
    61: Failure.BAD_RESPONSE,  # content coding
    63: Failure.BAD_RESPONSE,  # too large
    NO_TLS: Failure.FORBIDDEN,
    LOGIN_DENIED: Failure.FORBIDDEN,
    77: Failure.FORBIDDEN,  # certificate authorities
    78: Failure.MISSING,
    79: Failure.RESET,  # SSH layer
    83: Failure.FORBIDDEN,  # issuer
    90: Failure.FORBIDDEN,  # pinned key
    92: Failure.RESET,  # HTTP/2 stream
    97: Failure.UNREACHABLE,  # proxy handshake
    100: Failure.BAD_RESPONSE,  # a line of a head too long
}
_WORDS = {100: "line of the response header too long"}
