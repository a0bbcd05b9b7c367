"""Which secret goes to which host, and to nobody else.

A token belongs to a host, or to one port of it, that the user named. It never travels with a
redirect to another place, and no ``repr``, error or log shows it.
"""

from __future__ import annotations

import base64
import os
import re
import threading
from collections.abc import Iterable, Mapping

from regather.errors import UsageError, reason
from regather.logs import Logger
from regather.names import bracketed
from regather.origins import Origin, ascii_host, parse_host
from regather.tokens import flaw_of_token, is_loopback
from regather.transport.logins import Login, read_logins

__all__ = [
    "Credentials",
    "advice",
    "variable_of",
]

_Key = tuple[str, int | None]
_VARIABLE = "REGATHER_TOKEN"
_LABEL = "[a-z0-9](?:[a-z0-9-]*[a-z0-9])?"
_PARTS = r"[\s;=]+"
_SECRET = 8
"""Characters: a shorter word of a header is shown, it may be any word."""
_PLAIN_HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_log = Logger("regather.transport")


class Credentials:
    """Tokens by host, and what the environment and ~/.netrc know where ``gather`` made it.

    ``tokens`` maps ``HOST`` or ``HOST:PORT`` to a token; one for a port is preferred. Raises
    UsageError where a host is none, or a token cannot be sent. May be shared by threads.
    """

    def __init__(self, tokens: Mapping[str, str] | None = None) -> None:
        self._tokens = {parse_host(host): token for host, token in (tokens or {}).items()}
        for (host, _), token in self._tokens.items():
            if flaw := flaw_of_token(token):
                raise UsageError(f"the token for {host} {flaw}")
        self._environment: dict[str, str] = {}  # the variables of variable_of()
        self._last: dict[_Key, str] = {}
        self._netrc_path: str | None = None
        self._logins: dict[str, list[Login]] = {}
        self._lock = threading.Lock()
        self._warned: set[str] = set()

    @classmethod
    def gather(
        cls,
        tokens: Mapping[str, str] | None = None,
        environment: Mapping[str, str] | None = None,
        *,
        fallback: Mapping[str, str] | None = None,
    ) -> Credentials:
        """The given tokens, those of the environment, ``fallback``, passwords of ~/.netrc ($NETRC).

        ``environment`` is ``os.environ`` by default. A token for a host is in
        ``REGATHER_TOKEN_<HOST>`` (see variable_of) or, for several hosts, in ``REGATHER_TOKEN``
        as ``HOST=TOKEN``, separated by spaces. Raises UsageError where one cannot be used.
        """
        made = cls(tokens)
        environment = os.environ if environment is None else environment
        for variable, token in environment.items():
            if variable.startswith(f"{_VARIABLE}_"):
                if flaw := flaw_of_token(token):
                    raise UsageError(
                        f"{variable}: the token in it {flaw}", help="correct it, or unset it"
                    )
                made._environment[variable] = token
        for pair in environment.get(_VARIABLE, "").split():
            host, _, token = pair.partition("=")
            try:
                key = parse_host(host)
            except UsageError:  # not shown: it may be the token itself
                token = ""
            if flaw_of_token(token):
                raise UsageError(
                    f"{_VARIABLE} does not name the host of its token",
                    help=f"write it as {_VARIABLE}=HOST=TOKEN, or use {_VARIABLE}_<HOST>",
                )
            made._tokens.setdefault(key, token)
        made._last = cls(fallback)._tokens
        home = environment.get("HOME")
        made._netrc_path = environment.get("NETRC") or (home and os.path.join(home, ".netrc"))
        return made

    def __repr__(self) -> str:
        return f"<Credentials for {len(self._tokens)} hosts>"

    def header(self, origin: Origin) -> str | None:
        """The value of Authorization for requests to ``origin``, or None.

        Warns once for each host that is sent a secret over plain http and is not this machine.
        """
        scheme, host, port = origin
        token = self._token(ascii_host(host), port)
        login = self.login(host) if token is None else None
        if token is None and login is None:
            return None
        in_the_clear = scheme != "https" and not is_loopback(host)
        if login is None:
            if in_the_clear:
                self.warn(
                    f"a token is sent to {host} over plain http, readable by others on the "
                    "network; use https"
                )
            return f"Bearer {token}"
        if in_the_clear:
            # Nobody named this host to us: a manifest may have, to see the password pass by.
            self.warn(f"the password of ~/.netrc is not sent to {host} over plain http; use https")
            return None
        return (
            "Basic " + base64.b64encode(":".join(login).encode("utf-8", "surrogateescape")).decode()
        )

    def _token(self, host: str, port: int) -> str | None:
        keys: tuple[_Key, _Key] = ((host, port), (host, None))
        for key in keys:
            if key in self._tokens:
                return self._tokens[key]
        for key in keys if self._environment else ():
            if token := self._environment.get(variable_of(*key)):
                return token
        return next((self._last[key] for key in keys if key in self._last), None)

    def login(self, host: str, user: str = "") -> tuple[str, str] | None:
        """User and password for exactly this host: the entry ``default`` is for none of ours.

        Of several entries the first counts, as for ftp(1) and curl; with ``user``, the first for
        this user or for whoever it is.
        """
        with self._lock:
            if self._netrc_path is not None:
                self._read_netrc(self._netrc_path)
        for entry in self._logins.get(ascii_host(host), ()):
            if entry.password and (not user or entry.user in ("", user)):
                return entry.user, entry.password
        return None

    def _read_netrc(self, path: str) -> None:
        self._netrc_path = None  # once is enough
        try:
            entries, bad = read_logins(path)
        except FileNotFoundError:
            return
        except OSError as error:
            why = reason(error).lower()
            _log.warning("regather: warning: %s is not used: %s", path, why)
            return
        for entry in entries:
            self._logins.setdefault(entry.host, []).append(entry)
        if bad:  # not shown: it may be a secret
            _log.warning(
                "regather: warning: %s: line %s is not a valid entry and is ignored", path, bad
            )

    def warn(self, line: str) -> None:
        """Log a warning, each only once."""
        with self._lock:
            if line in self._warned:
                return
            self._warned.add(line)
        _log.warning("regather: warning: %s", line)


def variable_of(host: str, port: int | None = None) -> str:
    """The environment variable for the token of a host; empty where none can express it.

    ``REGATHER_TOKEN_`` and the host in capitals, a dot as ``_``, a hyphen as ``__``, and
    ``___PORT`` where it is for one port. No two hosts share one: else somebody could register
    ``a-b.example`` and be sent the token of ``a.b.example``.
    """
    if not re.fullmatch(_PLAIN_HOST, host):
        return ""
    name = host.replace("-", "__").replace(".", "_").upper()
    return f"{_VARIABLE}_{name}" + (f"___{port}" if port is not None else "")


def unsaid(text: str, headers: Iterable[tuple[str, str]]) -> str:
    """What a server said, without what it says back of these headers of ours."""
    for _, value in headers:
        for part in re.split(_PARTS, value):
            if len(part) >= _SECRET:
                text = text.replace(part, "...")
    return text


_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*+"?')
_SCHEME = re.compile(r"(?:^|,)\s*+([A-Za-z][\w-]*+)(?!\s*=)")
_UNSUPPORTED = frozenset(("digest", "negotiate", "ntlm", "hawk", "aws4-hmac-sha256"))


def advice(status: int, origin: Origin, *, sent: bool, redirected: bool, demanded: str) -> str:
    """What to do about a 401 or 403, as the rest of an error's line; else empty.

    ``demanded`` is ``WWW-Authenticate`` (RFC 9110, 11.6.1).
    """
    if status not in (401, 403):
        return ""
    host = bracketed(origin[1])
    if redirected:
        return (
            "; tokens are not sent after a redirect: if one is needed, give this address "
            f"directly, with --token {host}=FILE"
        )
    schemes = {s.lower(): s for s in _SCHEME.findall(_QUOTED.sub("", demanded))}
    if status == 401 and "basic" in schemes:
        entry = f"machine {host} login USER password PASSWORD"
        refused = "the login was not accepted: " * sent
        return f"; {refused}a user name and password are required, in ~/.netrc: {entry}"
    unsupported = _UNSUPPORTED.intersection(schemes) if "bearer" not in schemes else ()
    if status == 401 and unsupported:
        named = " or ".join(schemes[one] for one in sorted(unsupported))
        return f"; the server requires a login by {named}, which is not supported"
    if not sent:
        needed = "a token is required" if status == 401 else "a token may help"
        return f"; {needed}: --token {host}=FILE"
    if status == 401:
        return f"; the token was not accepted: check --token {host}=FILE"
    return f"; the token does not permit this: use --token {host}=FILE with one that does"
