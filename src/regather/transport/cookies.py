"""Cookies: those of a file that a browser or another program wrote, and those that servers set.

Which goes where is as RFC 6265 has it. The file is never changed; what servers set is kept as long
as the download lasts, so that a redirect that sets one leads on.
"""

from __future__ import annotations

import itertools
import re
import threading
import time
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from msgspec import Struct

from regather.errors import UsageError, reason, unusable
from regather.origins import ascii_host
from regather.tokens import is_address

__all__ = ["Cookies"]

_MAGIC = r"(?i)#( Netscape)? HTTP Cookie File"
_HTTP_ONLY = "#HttpOnly_"
_CONTROL = r"[\x00-\x08\x0a-\x1f\x7f]"
_LONGEST = 4096
"""Characters of the name and value that a server sets (RFC 6265bis, 5.6)."""
_MOST = 300
"""Cookies that servers may set; the oldest go."""
_MOST_SENT = 8 << 10
"""Characters of a header Cookie: servers refuse longer ones."""


_Key = tuple[str, str, str]


class _Cookie(Struct, frozen=True, eq=False):
    """Name and value are text in Latin-1, as headers are."""

    name: str
    value: str
    domain: str
    """In ASCII and lower case, without a dot before it."""
    below: bool
    """Whether hosts below the domain get it too."""
    path: str = "/"
    secure: bool = False
    expires: float | None = None
    """Seconds since 1970; None: never, for us."""

    __repr__ = object.__repr__

    @property
    def key(self) -> _Key:
        return self.domain, self.path, self.name

    @property
    def text(self) -> str:
        return f"{self.name}={self.value}" if self.name else self.value

    def is_for(self, host: str, path: str, *, secure: bool) -> bool:
        """RFC 6265, 5.4."""
        return (
            (host == self.domain or (self.below and _is_below(host, self.domain)))
            and _leads(self.path, path)
            and (secure or not self.secure)
            and (self.expires is None or self.expires > time.time())
        )


class Cookies:
    """Cookies by host; each goes where its domain and path say. May be shared by threads."""

    def __init__(self, path: str = "") -> None:
        """``path`` is a file in Netscape's format, or empty. Raises UsageError."""
        self._cookies = {cookie.key: cookie for cookie in _read(path)} if path else {}
        self._set: dict[_Key, _Cookie] = {}
        """What servers set, the oldest first; it replaces what was given."""
        self._lock = threading.Lock()

    def header(self, url: str, *, given: bool = True) -> str | None:
        """The value of Cookie for a request to ``url``, or None.

        Without ``given`` it holds only what servers set.
        """
        if not (given and self._cookies) and not self._set:
            return None
        parts = urlsplit(url)
        host, path = _host(parts.hostname or ""), parts.path or "/"
        secure = parts.scheme == "https"
        with self._lock:
            known = {**(self._cookies if given else {}), **self._set}
        fit = [c for c in known.values() if c.is_for(host, path, secure=secure)]
        fit.sort(key=lambda cookie: -len(cookie.path))  # RFC 6265, 5.4
        lengths = itertools.accumulate(len(cookie.text) + 2 for cookie in fit)
        texts = (c.text for c, length in zip(fit, lengths, strict=True) if length <= _MOST_SENT)
        return "; ".join(texts) or None

    def learn(self, url: str, lines: Sequence[str]) -> None:
        """Keep what a server at ``url`` set, by the values of its headers Set-Cookie."""
        if not lines:
            return
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        for line in lines[:_MOST]:
            cookie = _set_by(line, _host(parts.hostname or ""), parts.path, secure=secure)
            if cookie is None:
                continue
            with self._lock:
                known = self._set.pop(cookie.key, None) or self._cookies.get(cookie.key)
                if known is not None and known.secure and not secure:
                    cookie = known  # RFC 6265bis, 5.7: anybody on the way could have set it
                self._set[cookie.key] = cookie
                if len(self._set) > _MOST:
                    del self._set[next(iter(self._set))]


# -- the rules of RFC 6265 ----------------------------------------------------------------------


def _host(text: str) -> str:
    """A host as cookies have it; empty where it is none."""
    try:
        return ascii_host(text.strip("[]")).rstrip(".")
    except UnicodeError:
        return ""


def _is_below(host: str, domain: str) -> bool:
    """RFC 6265, 5.1.3: nothing is below an address, and no domain is one word."""
    return "." in domain and host.endswith(f".{domain}") and not is_address(host)


def _leads(above: str, path: str) -> bool:
    """RFC 6265, 5.1.4: whether a request for ``path`` is one below ``above``."""
    return path.startswith(above) and (above.endswith("/") or path[len(above) :][:1] in ("", "/"))


def _set_by(line: str, host: str, path: str, *, secure: bool) -> _Cookie | None:
    """The cookie of a header Set-Cookie (RFC 6265, 5.2 and 5.3); None where it is refused."""
    if re.search(_CONTROL, line):
        return None
    pair, _, rest = line.partition(";")
    name, equals, value = pair.partition("=")
    name, value = name.strip(), value.strip()
    said = dict(_attributes(rest))
    named = said.get("domain", "").removeprefix(".")
    domain = _host(named)
    if not equals or not name or len(name) + len(value) > _LONGEST:
        return None
    if (named and not domain) or (domain and domain != host and not _is_below(host, domain)):
        return None
    if "secure" in said and not secure:  # RFC 6265bis, 5.7: who could set it so?
        return None
    where = said.get("path", "")
    if not where.startswith("/"):
        where = path.rpartition("/")[0] or "/"  # RFC 6265, 5.1.4
    below = bool(domain) and "." in domain and not is_address(domain)
    if not _keeps_its_prefix(name, where, secure="secure" in said, below=bool(domain)):
        return None
    return _Cookie(name, value, domain or host, below, where, "secure" in said, _expiry(said))


def _attributes(text: str) -> Iterator[tuple[str, str]]:
    for one in text.split(";"):
        name, _, value = one.partition("=")
        yield name.strip().lower(), value.strip()


def _keeps_its_prefix(name: str, path: str, *, secure: bool, below: bool) -> bool:
    """Whether a cookie is what its name promises (RFC 6265bis, 4.1.3)."""
    lower = name.lower()
    if lower.startswith("__host-"):
        return secure and not below and path == "/"
    return secure or not lower.startswith("__secure-")


def _expiry(said: dict[str, str]) -> float | None:
    age = said.get("max-age", "")
    if re.fullmatch(r"-?[0-9]{1,18}", age):
        return time.time() + int(age)
    date = said.get("expires", "")
    if not date:
        return None
    from email.utils import mktime_tz, parsedate_tz

    parsed = parsedate_tz(date) if len(date) < 100 else None
    try:
        return None if parsed is None else float(mktime_tz(parsed))
    except (ValueError, OverflowError):
        return None


# -- files --------------------------------------------------------------------------------------


def _read(path: str) -> Iterator[_Cookie]:
    """The cookies in a file in Netscape's format. Raises UsageError."""
    try:
        # As Latin-1, which headers are: so they hold the same bytes as the file.
        with open(path, encoding="latin-1", newline="\n") as file:
            lines = file.read().removeprefix("\xef\xbb\xbf").split("\n")
    except OSError as error:
        why = reason(error).lower()
        if "=" in path:  # curl's -b takes cookies themselves: they are not shown
            raise UsageError(f"--cookies: {why}", help="give a cookie file") from None
        raise unusable(path, "--cookies", error) from None
    if not re.match(_MAGIC, lines[0]):
        raise UsageError(
            f"{path}: not a cookie file",
            help="it must be in the Netscape format, with the first line '# Netscape HTTP Cookie "
            "File'",
        )
    for number, line in enumerate(lines, 1):
        text = line.removesuffix("\r").removeprefix(_HTTP_ONLY)
        if text.strip() and not text.startswith("#"):
            try:
                yield _in_file(text)
            except (ValueError, OverflowError):  # not shown: it may be a secret
                raise UsageError(f"{path}: line {number} is not a cookie") from None


def _in_file(line: str) -> _Cookie:
    """The cookie in a line. Raises ValueError or OverflowError."""
    domain, below, path, secure, expires, name, value = line.split("\t")
    # wget writes no dot where it means all below, others do.
    host = _host(domain.removeprefix(".").encode("latin-1").decode())
    if re.search(_CONTROL, line) or not host:
        raise ValueError
    return _Cookie(
        name,
        value,
        host,
        below.strip().upper() == "TRUE" and not is_address(host),
        path or "/",
        secure.strip().upper() != "FALSE",
        int(float(expires or 0)) or None,  # most write 0 where there is no date
    )
