"""How to reach servers: what all connections of a download share."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct, field

from regather.forking import free_after_fork
from regather.origins import Origin
from regather.transport.cookies import Cookies
from regather.transport.credentials import Credentials
from regather.transport.dial import SilentAddresses
from regather.transport.host_options import Hosts
from regather.transport.objects.store_options import StoreOptions
from regather.transport.proxies import Proxies
from regather.transport.ranges import Manner

if TYPE_CHECKING:
    import ssl


_making = free_after_fork(threading.Lock())


def default_tls() -> ssl.SSLContext:
    """The context for https, trusting what the system trusts; made when it is first needed."""
    # Reading the system's authorities takes 24 ms: not once for each of the threads that connect.
    with _making:
        return _default_tls()


@functools.cache
def _default_tls() -> ssl.SSLContext:
    import ssl

    return ssl.create_default_context()


class TransportOptions(Struct, frozen=True, eq=False):
    """How to connect: times in seconds, and what makes the TLS context for https."""

    connect_timeout: float = 5.0
    timeout: float = 15.0
    """After this long without a single byte a request has failed."""
    tls: Callable[[], ssl.SSLContext] = default_tls
    redirects: dict[str, str] = field(default_factory=dict)
    """Where URLs were redirected to, shared by all connections of a download."""
    unpipelined: set[Origin] = field(default_factory=set)
    """Servers at which a request that was sent before its turn failed."""
    manners: dict[Origin, Manner] = field(default_factory=dict)
    """How servers answer ranges."""
    credentials: Credentials = field(default_factory=Credentials)
    """Which tokens to show to whom."""
    hosts: Hosts = field(default_factory=Hosts)
    """What is set for single hosts."""
    cacert: str = ""
    """What libcurl is to trust instead of what the system trusts: a file as for ``tls``."""
    known_hosts: str = ""
    """The host keys of SSH servers; empty: ~/.ssh/known_hosts."""
    proxies: Proxies = field(default_factory=Proxies)
    cookies: Cookies = field(default_factory=Cookies)
    silent: SilentAddresses = field(default_factory=SilentAddresses)
    """Addresses that accepted a connection and said nothing, while their host has others."""
    answering: set[Origin] = field(default_factory=set)
    """Who has answered, so that it speaks what its URL says."""
    http2: bool = False
    """Whether to speak HTTP/2 where https servers do."""
    cdn_loop: Callable[[], str] | None = None
    """What requests carry as CDN-Loop (RFC 8586), where they are made for others."""
    stores: StoreOptions = field(default_factory=StoreOptions)
    """How to reach object stores."""

    __repr__ = object.__repr__

    @property
    def needs_libcurl(self) -> str:
        """For what plain http(s) needs libcurl, in a few words; mostly empty."""
        if self.http2:
            return "HTTP/2"
        proxy = self.proxies.needs_libcurl
        return f"a proxy of {proxy}://" if proxy else ""
