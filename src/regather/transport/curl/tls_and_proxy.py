"""Which way libcurl is to go, and whom to trust on it: proxies and TLS."""

from __future__ import annotations

import os
import ssl
from typing import Any

from regather.origins import Origin
from regather.schemes import FILES
from regather.transport.options import TransportOptions


def set_text(easy: Any, option: int, text: str) -> None:
    """Set a name, password or path; pycurl itself takes none beyond ASCII."""
    easy.setopt(option, os.fsencode(text))


def configure_proxy(easy: Any, options: TransportOptions, origin: Origin) -> None:
    """Set the proxy for an origin; libcurl itself must not look for one."""
    import pycurl

    proxy = options.proxies.of(origin)
    easy.setopt(pycurl.NOPROXY, "")
    if proxy is None:
        easy.setopt(pycurl.PROXY, "")
        return
    easy.setopt(pycurl.PROXY, f"{proxy.scheme}://{proxy.where}")
    if proxy.user:
        set_text(easy, pycurl.PROXYUSERNAME, proxy.user)
        set_text(easy, pycurl.PROXYPASSWORD, proxy.password)
    if origin[0] in FILES:
        # A proxy that fetches files itself would make web pages of what goes wrong.
        easy.setopt(pycurl.HTTPPROXYTUNNEL, 1)
    if proxy.scheme == "https":
        _trust(easy, options, pycurl.PROXY_CAINFO, pycurl.PROXY_CAPATH)


def configure_tls(easy: Any, options: TransportOptions, origin: Origin) -> None:
    """Trust what our own sockets trust, and show our certificate where one is set."""
    import pycurl

    easy.setopt(pycurl.SSL_VERIFYPEER, 1)
    easy.setopt(pycurl.SSL_VERIFYHOST, 2)
    easy.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
    _trust(easy, options, pycurl.CAINFO, pycurl.CAPATH)
    own = options.hosts.of(origin[1], origin[2])
    if own.cert:
        set_text(easy, pycurl.SSLCERT, own.cert)
        set_text(easy, pycurl.SSLKEY, own.key or own.cert)


def _trust(easy: Any, options: TransportOptions, file: int, folder: int) -> None:
    """Set whom to trust; its own default is that of the machine it was built on."""
    system = ssl.get_default_verify_paths()
    if options.cacert or system.cafile:
        set_text(easy, file, options.cacert or system.cafile)
    if not options.cacert and os.path.isdir(system.capath or ""):
        easy.setopt(folder, system.capath)
    else:
        easy.unsetopt(folder)


def refused_certificate(detail: str) -> str:
    """What to tell of a certificate that libcurl does not believe."""
    if "unable to get" in detail or "self" in detail:
        detail += "; trust its certificate authority with --cacert FILE"
    return f"certificate refused ({detail})"
