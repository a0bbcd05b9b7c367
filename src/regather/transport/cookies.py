"""Cookies from a file that a browser or another program wrote; they are sent, and never changed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from regather.errors import UsageError
from regather.tokens import is_address

if TYPE_CHECKING:
    from http.cookiejar import Cookie, CookieJar

__all__ = ["Cookies"]

_MAGIC = re.compile(r"#( Netscape)? HTTP Cookie File")
_HTTP_ONLY = "#HttpOnly_"
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


class Cookies:
    """The cookies of a file in Netscape's format; each goes where its domain and path say.

    May be shared by threads. Raises UsageError where the file cannot be read.
    """

    def __init__(self, path: str = "") -> None:
        """``path`` may be empty: no cookies."""
        self._jar: CookieJar | None = None
        if not path:
            return
        from http.cookiejar import CookieJar, DefaultCookiePolicy

        policy = DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain)
        self._jar = CookieJar(policy)
        try:
            with open(path, encoding="utf-8", errors="surrogateescape", newline="\n") as file:
                lines = file.read().split("\n")
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise UsageError(f"{path}: not usable as --cookies ({why})") from None
        if not _MAGIC.match(lines[0]):
            raise UsageError(
                f"{path}: not a file of cookies",
                help="it must be in Netscape's format, beginning with "
                "'# Netscape HTTP Cookie File'",
            )
        for number, line in enumerate(lines, 1):
            text = line.removesuffix("\r").removeprefix(_HTTP_ONLY)
            if text.strip() and not text.startswith("#"):
                try:
                    self._jar.set_cookie(_cookie(text))
                except (ValueError, OverflowError):  # not shown: it may be a secret
                    raise UsageError(f"{path}: line {number} is no cookie") from None

    def header(self, url: str) -> str | None:
        """The value of Cookie for a request to ``url``, or None."""
        if self._jar is None:
            return None
        from urllib.request import Request

        request = Request(url)
        self._jar.add_cookie_header(request)
        value = request.get_header("Cookie")
        if value is None:
            return None
        # As Latin-1, which headers are, it is the bytes of the file again.
        return value.encode("utf-8", "surrogateescape").decode("latin-1")


def _cookie(line: str) -> Cookie:
    """The cookie in a line. Raises ValueError or OverflowError."""
    from http.cookiejar import Cookie

    domain, below, path, secure, expires, name, value = line.split("\t")
    if _CONTROL.search(line) or not domain.strip("."):
        raise ValueError
    domain = domain.removeprefix(".")
    everywhere = below == "TRUE" and "." in domain and not is_address(domain)
    if "." not in domain:  # how http.cookiejar thinks of "localhost"
        domain += ".local"
    return Cookie(
        version=0,
        name=name or value,
        value=value if name else None,
        port=None,
        port_specified=False,
        # wget writes no dot where it means all below, others do.
        domain=f".{domain}" if everywhere else domain,
        domain_specified=everywhere,
        domain_initial_dot=everywhere,
        path=path,
        path_specified=False,
        secure=secure == "TRUE",
        expires=int(float(expires or 0)) or None,  # most write 0 where there is no date
        discard=False,
        comment=None,
        comment_url=None,
        rest={},
    )
