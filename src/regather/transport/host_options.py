"""What the user sets for one host, and for no other."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from msgspec.structs import force_setattr, replace

from regather.errors import UsageError
from regather.names import texts
from regather.origins import Origin, ascii_host, parse_host
from regather.secretive import Secretive
from regather.tokens import is_loopback

__all__ = ["HostOptions", "Hosts", "flaw_of_header"]

_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"
_VALUE = r"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?"
_MOST_HEADER = 8 << 10
_OURS = frozenset(
    "accept-encoding connection content-encoding content-length content-range date expect host "
    "http2-settings if-match if-modified-since if-none-match if-range if-unmodified-since "
    "keep-alive proxy-authenticate proxy-authorization proxy-connection range te trailer "
    "transfer-encoding upgrade".split()
)
"""Headers that say how bytes are framed, or which: ours alone to set."""


class HostOptions(Secretive, frozen=True):
    """Options for one host. Empty fields mean the general settings."""

    HIDDEN: ClassVar = ("headers",)

    headers: tuple[tuple[str, str], ...] = ()
    """Sent with every request over http(s) that names this host, never after a redirect to it."""
    cert: str = ""
    """A PEM file: our certificate, for servers that ask who we are (TLS), and its chain."""
    key: str = ""
    """A PEM file: the certificate's private key, where ``cert`` does not hold it."""
    user: str = ""
    """The name to log in with (ftp, ftps, sftp)."""
    ssh_key: str = ""
    """A private key file for sftp; without, those of ~/.ssh and of the agent are tried."""
    ftp_tls: bool = False
    """Whether ftp:// begins with AUTH TLS (explicit FTPS), before a name or password is sent."""

    trust: Sequence[str] = ()
    """Keys that manifests of this host must be signed by, as Settings.trust."""

    def __post_init__(self) -> None:
        force_setattr(self, "trust", texts(self.trust))
        for name, value in self.headers:
            if flaw := flaw_of_header(name, value):
                raise UsageError(flaw)
        if self.key and not self.cert:
            raise UsageError("a key without a certificate", help="give the certificate as well")


def flaw_of_header(name: str, value: str) -> str:
    """Why a header cannot be sent; empty where it can. Never shows its value."""
    if not re.fullmatch(_TOKEN, name):
        return f"not a header name: {name[:60]!r}"
    if name.lower() in _OURS:
        return f"the header {name} cannot be set: it is used by the download itself"
    if not re.fullmatch(_VALUE, value) or len(value) > _MOST_HEADER:
        return f"the value of the header {name} is empty, too long, or contains control characters"
    return ""


class Hosts:
    """The options by host. Raises UsageError where a host is none."""

    def __init__(self, options: Mapping[str, HostOptions] | None = None) -> None:
        """``options`` are by ``HOST`` or ``HOST:PORT``; what is said for a port is preferred."""
        self._options = {parse_host(host): given for host, given in (options or {}).items()}

    def of(self, host: str, port: int) -> HostOptions:
        """What holds for a port of a host; headers of both are sent, the port's where both are."""
        known = ascii_host(host)
        general = self._options.get((known, None), _NOTHING)
        special = self._options.get((known, port))
        if special is None:
            return general
        named = {name.lower() for name, _ in special.headers}
        kept = (pair for pair in general.headers if pair[0].lower() not in named)
        own_cert = special if special.cert else general
        return replace(
            general,
            headers=(*kept, *special.headers),
            cert=own_cert.cert,
            key=own_cert.key,
            user=special.user or general.user,
            ssh_key=special.ssh_key or general.ssh_key,
            ftp_tls=special.ftp_tls or general.ftp_tls,
            trust=special.trust or general.trust,
        )

    def headers(self, origin: Origin, warn: Callable[[str], None]) -> tuple[tuple[str, str], ...]:
        """The headers for an origin; ``warn`` is told if all on the way can read them."""
        scheme, host, port = origin
        headers = self.of(host, port).headers
        if headers and scheme != "https" and not is_loopback(host):
            warn(
                f"headers set for {host} are sent over plain http, readable by others on the "
                "network"
            )
        return headers

    def all(self) -> list[HostOptions]:
        """All that was set, to be checked before it is used."""
        return list(self._options.values())


_NOTHING = HostOptions()
