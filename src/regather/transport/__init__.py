"""Transports: how bytes come from a source, one module a way."""

from __future__ import annotations

from urllib.parse import quote

from regather.model import Fragment, Source
from regather.schemes import FILES, REMOTE, STORES, scheme_of
from regather.transport.base import (
    TICK,
    Askable,
    Connection,
    Failure,
    Look,
    OtherSize,
    RequestFailed,
    SizeUnknown,
)
from regather.transport.credentials import Credentials
from regather.transport.curl import available
from regather.transport.host_options import HostOptions
from regather.transport.http import HttpConnection
from regather.transport.local import LocalConnection
from regather.transport.objects import installed
from regather.transport.options import TransportOptions

__all__ = [
    "TICK",
    "Askable",
    "Connection",
    "Credentials",
    "Failure",
    "HostOptions",
    "HttpConnection",
    "LocalConnection",
    "Look",
    "OtherSize",
    "RequestFailed",
    "SizeUnknown",
    "TransportOptions",
    "is_served",
    "is_url",
    "locate",
    "object_of",
    "open_connection",
]


def is_url(target: str) -> bool:
    """Whether ``target`` is reached over the network (else it is a local path)."""
    return scheme_of(target) in REMOTE


def is_served(url: str) -> bool:
    """Whether this installation can reach a URL: some schemes need an optional package."""
    scheme = scheme_of(url)
    return (scheme not in FILES or available()) and (scheme not in STORES or installed())


def locate(base: str, name: str) -> str:
    """Where a fragment of this name is at a source: names are percent-encoded in URLs."""
    return base + (quote(name, safe="") if is_url(base) else name)


def object_of(source: Source, fragment: Fragment) -> str:
    """The URL or path of a fragment at a source."""
    return source.objects.get(fragment.index) or locate(source.url, fragment.name)


def open_connection(url: str, options: TransportOptions) -> Askable:
    """A connection for a source's URL or path; nothing is opened before the first request."""
    if not is_url(url):
        return LocalConnection()
    if scheme_of(url) in FILES:
        from regather.transport.curl.file_connection import FileConnection

        return FileConnection(options)
    if scheme_of(url) in STORES:
        from regather.transport.objects.connection import ObjectConnection

        return ObjectConnection(options)
    return HttpConnection(options)
