"""Which proxy leads where: what the user says, else what the environment says as curl reads it."""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import quote, unquote, urlsplit

from regather.errors import UsageError
from regather.names import host_port
from regather.origins import Origin, ascii_host
from regather.secretive import Secretive

__all__ = ["Proxies", "Proxy", "parse_proxy"]

_PORTS = {"http": 1080, "https": 443, "socks4": 1080, "socks4a": 1080, "socks5": 1080}
_PORTS["socks5h"] = _PORTS["socks5"]
_ANY = "all"


class Proxy(Secretive, frozen=True):
    """One proxy."""

    HIDDEN: ClassVar = ("password",)

    scheme: str
    """http, https, socks4, socks4a, socks5 or socks5h."""
    host: str
    port: int
    user: str = ""
    password: str = ""

    @property
    def where(self) -> str:
        """Host and port, as they stand in a URL."""
        return host_port(self.host, self.port)

    @property
    def plain(self) -> bool:
        """Whether it speaks plain HTTP: our own sockets know how to talk to it."""
        return self.scheme == "http"

    @property
    def url(self) -> str:
        """Its address with all that is in it: not to be shown."""
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}@" if self.user else ""
        return f"{self.scheme}://{login}{self.where}"

    @property
    def headers(self) -> list[tuple[str, str]]:
        """What an HTTP proxy must be told with each request that it reads."""
        if not self.user:
            return []
        login = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return [("Proxy-Authorization", f"Basic {login}")]


class Proxies:
    """The proxies by scheme of the URL, and the hosts that are reached without."""

    def __init__(self, proxies: Mapping[str, Proxy] | None = None, no_proxy: str = "") -> None:
        """``proxies`` are by scheme, ``all`` for the others; ``no_proxy`` as curl has it."""
        self._direct = _Direct(no_proxy)
        self._proxies = {} if self._direct.everything else dict(proxies or {})

    @classmethod
    def gather(
        cls, proxy: str | None, no_proxy: str | None, environment: Mapping[str, str]
    ) -> Proxies:
        """The given proxy and exceptions, else those of the environment.

        An empty ``proxy`` means none. Raises UsageError.
        """
        if no_proxy is None:
            no_proxy = environment.get("no_proxy") or environment.get("NO_PROXY") or ""
        if proxy is not None:
            found = {_ANY: parse_proxy(proxy, "--proxy")} if proxy else {}
            return cls(found, no_proxy)
        found = {}
        for scheme in ("http", "https", "ftp", "ftps", "sftp", _ANY):
            # HTTP_PROXY is not read: CGI programs get it from whoever sends a header "Proxy".
            names = [f"{scheme}_proxy"] + ([f"{scheme}_proxy".upper()] if scheme != "http" else [])
            for name in names:
                if value := environment.get(name, ""):
                    found[scheme] = parse_proxy(value, name)
                    break
        return cls(found, no_proxy)

    def of(self, origin: Origin) -> Proxy | None:
        """The proxy on the way to an origin, None where there is none."""
        if not self._proxies:
            return None
        proxy = self._proxies.get(origin[0]) or self._proxies.get(_ANY)
        return None if proxy is None or self._direct.holds(origin[1], origin[2]) else proxy

    @property
    def exceptions(self) -> tuple[str, ...]:
        """The hosts that are reached without, as they were named."""
        return self._direct.entries

    @property
    def needs_libcurl(self) -> str:
        """The kind of a proxy that only libcurl can talk to; empty where there is none."""
        return next((p.scheme for p in self._proxies.values() if not p.plain), "")


def parse_proxy(text: str, where: str) -> Proxy:
    """Read ``[SCHEME://][USER[:PASSWORD]@]HOST[:PORT]``. Raises UsageError, naming ``where``."""
    try:
        parts = urlsplit(text if "://" in text else f"http://{text}")
        host, port = ascii_host(parts.hostname or ""), parts.port
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        fit = bool(host) and parts.path in ("", "/") and not parts.query and not parts.fragment
    except ValueError:  # UnicodeError is one
        fit = False
    # The text is not shown: a password may stand in it.
    if not fit:
        raise UsageError(
            f"{where}: not the address of a proxy", help="write it as http://HOST:PORT"
        )
    if parts.scheme not in _PORTS:
        raise UsageError(
            f"{where}: {parts.scheme[:20]}:// proxies are not supported",
            help=f"use one of {', '.join(_PORTS)}",
        )
    return Proxy(parts.scheme, host, port or _PORTS[parts.scheme], user, password)


_WITH_PORT = r"([^][:]+|[^][]+\]):([0-9]{1,5})"  # [ is gone


class _Direct:
    """Hosts that are reached directly: names with all below them, addresses, networks, ``*``.

    One with a port behind a colon means that port alone.
    """

    def __init__(self, text: str) -> None:
        self.entries = tuple(e.strip("[]") for e in re.split(r"[,\s]+", text) if e)
        self.everything = self.entries == ("*",)
        self._names: set[tuple[str, str]] = set()
        self._networks: list[tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, str]] = []
        for entry in self.entries:
            match = re.fullmatch(_WITH_PORT, entry)
            host, port = match.groups() if match else (entry, "")
            host = host.strip("[]")
            try:
                self._networks.append((ipaddress.ip_network(host, strict=False), port))
            except ValueError:
                self._names.add((host.lower().strip("."), port))

    def holds(self, host: str, port: int) -> bool:
        """Whether a host is one of them."""
        ports = "", str(port)
        try:
            address = ipaddress.ip_address(host)
        except ValueError:
            labels = host.lower().rstrip(".").split(".")
            names = [".".join(labels[n:]) for n in range(len(labels))]
            return any((name, one) in self._names for name in names for one in ports)
        return any(one in ports and address in network for network, one in self._networks)
