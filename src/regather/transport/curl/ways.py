"""Which way libcurl is to go, and whom to trust on it: proxies and TLS."""

from __future__ import annotations

import os
import ssl
from typing import Any

from regather.transport.credentials import Origin
from regather.transport.options import TransportOptions


def configure_proxy(easy: Any, options: TransportOptions, origin: Origin) -> None:
    """Set the proxy for an origin; libcurl itself must not look for one."""
    import pycurl

    easy.setopt(pycurl.PROXY, "")


def configure_tls(easy: Any, options: TransportOptions, origin: Origin) -> None:
    """Trust what our own sockets trust, and show our certificate where one is set."""
    import pycurl

    easy.setopt(pycurl.SSL_VERIFYPEER, 1)
    easy.setopt(pycurl.SSL_VERIFYHOST, 2)
    easy.setopt(pycurl.SSLVERSION, pycurl.SSLVERSION_TLSv1_2)
    if options.cacert:
        easy.setopt(pycurl.CAINFO, options.cacert)
        easy.unsetopt(pycurl.CAPATH)
    else:
        # Its own default is that of the machine it was built on.
        system = ssl.get_default_verify_paths()
        if system.cafile:
            easy.setopt(pycurl.CAINFO, system.cafile)
        elif os.path.isdir(system.capath or ""):
            easy.setopt(pycurl.CAPATH, system.capath)
    own = options.hosts.of(origin[1], origin[2])
    if own.cert:
        easy.setopt(pycurl.SSLCERT, own.cert)
        easy.setopt(pycurl.SSLKEY, own.key or own.cert)
