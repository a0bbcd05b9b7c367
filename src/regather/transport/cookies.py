"""Cookies from a file that a browser or another program wrote; they are sent, and never changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from regather.errors import UsageError

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

__all__ = ["Cookies"]


class Cookies:
    """The cookies of a file in Netscape's format; each goes where its domain and path say.

    May be shared by threads. Raises UsageError where the file cannot be read.
    """

    def __init__(self, path: str = "") -> None:
        """``path`` may be empty: no cookies."""
        self._jar: CookieJar | None = None
        if not path:
            return
        from http.cookiejar import CookieJar, DefaultCookiePolicy, LoadError, MozillaCookieJar

        policy = DefaultCookiePolicy(strict_ns_domain=DefaultCookiePolicy.DomainStrictNonDomain)
        self._jar = CookieJar(policy)
        read = MozillaCookieJar(path)
        try:
            # Those without a date are for the session: this is one.
            read.load(ignore_discard=True, ignore_expires=True)
        except (LoadError, UnicodeError):  # its text may quote a cookie
            raise UsageError(
                f"{path}: not a file of cookies",
                help="it must be in Netscape's format, beginning with "
                "'# Netscape HTTP Cookie File'",
            ) from None
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            raise UsageError(f"{path}: not usable as --cookies ({why})") from None
        for cookie in read:
            cookie.expires = cookie.expires or None  # most write 0 where there is no date
            if "." not in cookie.domain:  # how http.cookiejar thinks of "localhost"
                cookie.domain += ".local"
            self._jar.set_cookie(cookie)

    def header(self, url: str) -> str | None:
        """The value of Cookie for a request to ``url``, or None."""
        if self._jar is None:
            return None
        from urllib.request import Request

        request = Request(url)
        self._jar.add_cookie_header(request)
        return request.get_header("Cookie")
