"""How to download: what the user may set, and what connections make of it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from msgspec import field
from msgspec.structs import force_setattr, replace

from regather.errors import UsageError, pem_flaw, unusable
from regather.names import texts
from regather.secretive import Secretive
from regather.transport import Credentials, HostOptions, TransportOptions
from regather.transport.cookies import Cookies
from regather.transport.curl import available, library
from regather.transport.host_options import Hosts
from regather.transport.objects.store_options import StoreOptions
from regather.transport.proxies import Proxies
from regather.transport.tls import context_with

if TYPE_CHECKING:
    from regather.sources.signed import TrustRules

__all__ = ["Settings", "transport_options", "trust_rules"]


class Settings(Secretive, frozen=True):
    """How to download. Every field has a default that suits most downloads."""

    HIDDEN: ClassVar = ("tokens", "fallback_tokens", "hosts", "proxy", "store_options")

    connections: int = 8
    """The maximum number of connections to one source."""
    timeout: float = 15.0
    """Seconds without a byte after which a request has failed."""
    connect_timeout: float = 5.0
    retries: int = 5
    """The number of consecutive failures after which a source is given up."""
    limit_rate: int | None = None
    """The maximum bytes per second over all sources."""
    cacert: str | None = None
    """A file of certificate authorities to trust instead of those of the system."""
    sync: bool = True
    """Whether to make the file durable before it gets its name."""
    tokens: Mapping[str, str] = field(default_factory=dict)
    """Tokens by ``HOST`` or ``HOST:PORT``, sent there and nowhere else; before those of the
    environment and of ~/.netrc."""
    fallback_tokens: Mapping[str, str] = field(default_factory=dict)
    """The same, after those of the environment, before ~/.netrc."""
    hosts: Mapping[str, HostOptions] = field(default_factory=dict)
    """Options for ``HOST`` or ``HOST:PORT`` only."""
    known_hosts: str | None = None
    """The host keys of SFTP servers, instead of ~/.ssh/known_hosts."""
    proxy: str | None = None
    """The proxy for all, ``[SCHEME://][USER:PASSWORD@]HOST[:PORT]``; empty: none. By default those
    of the environment."""
    no_proxy: str | None = None
    """Hosts without a proxy: names with their subdomains, addresses, networks, or ``*``."""
    cookies: str | None = None
    """A cookie file in the Netscape format."""
    http2: bool = False
    """Whether to use HTTP/2 with https servers that support it."""
    store_options: Mapping[str, str] = field(default_factory=dict)
    """Options of object stores, as for --store-option: ``KEY``, ``s3:KEY`` or
    ``s3://BUCKET:KEY`` to a value."""

    trust: Sequence[str] = ()
    """Public keys of minisign, or files with one: manifests must be signed by one of them."""
    trust_names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The same for files whose name fits a pattern like ``weights-*``, before ``trust`` and
    HostOptions.trust."""
    require_trust: bool = False
    """Whether a manifest from the network needs a trusted signature or a digest."""
    allow_older: bool = False
    """Whether an older version of a signed manifest is accepted than before."""

    def __post_init__(self) -> None:
        force_setattr(self, "trust", texts(self.trust))
        for name in ("connections", "timeout", "connect_timeout", "limit_rate"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise UsageError(f"{name} must be more than 0, not {value}")
        if self.retries < 0:
            raise UsageError(f"retries must not be negative: {self.retries}")


def transport_options(settings: Settings) -> TransportOptions:
    """What all connections share. Raises UsageError where a file that is named is unusable."""
    proxies = Proxies.gather(settings.proxy, settings.no_proxy, os.environ)
    options = TransportOptions(
        settings.connect_timeout,
        settings.timeout,
        credentials=Credentials.gather(settings.tokens, fallback=settings.fallback_tokens),
        hosts=Hosts(settings.hosts),
        cacert=settings.cacert or "",
        known_hosts=_readable(settings.known_hosts, "--known-hosts"),
        proxies=proxies,
        cookies=Cookies(settings.cookies or ""),
        http2=settings.http2,
        stores=StoreOptions(settings.store_options, settings.cacert),
    )
    for one in settings.hosts.values():
        _readable(one.ssh_key, "--ssh-key")
    if options.needs_libcurl and not available():
        library(options.needs_libcurl)  # raises, and says why
    if settings.cacert is not None:
        import ssl

        try:
            context = ssl.create_default_context(cafile=settings.cacert)
        except OSError as error:
            raise UsageError(
                f"{settings.cacert}: not usable as --cacert ({pem_flaw(error)})",
                help="give a PEM file with the certificates of the authorities",
            ) from None
        options = replace(options, tls=lambda: context)
    for one in settings.hosts.values():
        if one.cert:
            context_with(one.cert, one.key, options.cacert)  # raises where that is no use
    return options


def trust_rules(settings: Settings) -> TrustRules | None:
    """Which manifests must be signed by whom; None: none of them. Raises UsageError."""
    hosts = any(options.trust for options in settings.hosts.values())
    if not (settings.trust or settings.trust_names or settings.require_trust or hosts):
        return None
    from regather.sources.signed import TrustRules

    return TrustRules(settings)


def _readable(path: str | None, option: str) -> str:
    """The path, which may be empty. Raises UsageError where there is no such file to read."""
    if path:
        try:
            with open(path, "rb"):
                pass
        except OSError as error:
            raise unusable(path, option, error) from None
    return path or ""
