"""URLs of FTP and SFTP servers, as libcurl is given them."""

from __future__ import annotations

from urllib.parse import quote, unquote

from regather.names import split_url
from regather.origins import Origin, origin_of
from regather.schemes import FILES
from regather.transport.base import Failure, RequestFailed


def split_target(target: str) -> tuple[Origin, str, str]:
    """Where a URL leads, the user named in it, and its path as libcurl is given it."""
    try:
        parts = split_url(target, FILES)
    except ValueError as error:
        raise RequestFailed(Failure.BAD_RESPONSE, str(error)) from None
    if parts.password is not None:
        raise RequestFailed(
            Failure.BAD_RESPONSE, f"a URL with a password, at {parts.hostname}: refused"
        )
    if any(ord(c) < 32 or c == "\x7f" for c in unquote(parts.username or "")):
        raise RequestFailed(
            Failure.BAD_RESPONSE, f"no user name to log in with, at {parts.hostname}"
        )
    # Neither protocol has queries; libcurl reads ";type=a" as an order to change line ends.
    name = parts.path + (f"?{parts.query}" if parts.query else "")
    path = quote(name or "/", safe="/%:@!$&'()*+,=~-._")
    return origin_of(parts), parts.username or "", path
