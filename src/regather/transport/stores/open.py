"""The store at an address; what its implementation needs is imported only then."""

from __future__ import annotations

from regather.errors import UsageError
from regather.names import split_url
from regather.schemes import FILES, HTTP, STORES, listed, scheme_of
from regather.transport.options import TransportOptions
from regather.transport.stores.base import Store

__all__ = ["open_hosted", "open_store"]


def open_store(url: str, options: TransportOptions) -> Store:
    """The store at a base URL or in a local folder; nothing is opened yet.

    A folder that does not exist is made when something is put into it. Raises UsageError.
    """
    base = url if url.endswith("/") else url + "/"
    scheme = scheme_of(url)
    if not scheme:
        from regather.transport.stores.local import LocalStore

        return LocalStore(base)
    if scheme in STORES:
        from regather.transport.stores.objects import ObjectStore

        return ObjectStore(base, options)
    if scheme not in HTTP:
        raise UsageError(
            f"cannot store at {scheme}://", help=f"use {listed(HTTP | STORES)}, or a folder"
        )
    _check_base(url)
    from regather.transport.stores.http import HttpStore

    return HttpStore(base, options)


def open_hosted(url: str, options: TransportOptions) -> Store:
    """As open_store, for what is hosted already: it may be where nothing can be stored."""
    if scheme_of(url) in FILES:
        from regather.transport.stores.ftp import HostedFiles

        return HostedFiles(url if url.endswith("/") else url + "/", options)
    return open_store(url, options)


def _check_base(url: str) -> None:
    try:
        parts = split_url(url, HTTP)
    except ValueError as error:
        raise UsageError(str(error)) from None
    if parts.username is not None or parts.password is not None:
        host = parts.hostname
        raise UsageError(
            f"the address of {host} contains a user name or a password",
            help=f"remove them and use --token {host}=FILE",
        )
    if parts.query or parts.fragment:
        raise UsageError(f"not a base URL: {url!r}", help="remove the query and the #")
