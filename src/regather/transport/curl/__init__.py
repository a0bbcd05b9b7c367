"""What libcurl can and our own sockets cannot: FTP, FTPS, SFTP, SOCKS and HTTPS proxies, HTTP/2.

pycurl is optional; this package imports it when the first such connection is made.
"""

from __future__ import annotations

import functools
from typing import Any

from regather.errors import UsageError

__all__ = ["INSTALL", "available", "library"]

INSTALL = "pip install 'pycurl>=7.45.4'"
"""What to tell where it is missing."""


@functools.cache
def available() -> bool:
    """Whether pycurl is installed; does not import it."""
    from importlib.util import find_spec

    return find_spec("pycurl") is not None


def library(what: str) -> Any:
    """The module pycurl. Raises UsageError, naming ``what`` is asked for, where it is missing."""
    try:
        import pycurl
    except ImportError:
        raise UsageError(f"{what} needs libcurl, which is not installed", help=INSTALL) from None
    return pycurl
