"""What the user names - URLs, ``host:port``, folders - and what is wrong with it."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from msgspec import Struct

from regather.errors import ManifestError, RegatherError, UsageError
from regather.logs import Logger
from regather.model import Layout
from regather.names import MANIFEST_SUFFIX, split_url
from regather.schemes import FILES, PORTS, STORES, listed, scheme_of
from regather.transport import is_served, is_url
from regather.transport.curl import INSTALL

_log = Logger("regather.sources")
_LOGIN = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/]*|[^/]*:[^/]*)@")
_HOST_AND_PORT = re.compile(
    r"(\[[0-9A-Fa-f:.]+(?:%[^\]/]+)?\]|[A-Za-z0-9._-]+):([0-9]{1,5})(/.*)?", re.DOTALL
)
_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
_HOSTLIKE = re.compile(
    r"(?:[^/@]+@)?(?:localhost|\[[^]/]+\]|\d{1,3}(?:\.\d{1,3}){3}|(?:[\w-]+\.)+[^\W\d_]{2,}\.?)(?:/.*)?"
    r"|[^/:]+:.*",  # as ssh, rsync and rclone have it
    re.IGNORECASE,
)
_CUT_SCHEME = re.compile(r"([A-Za-z0-9]+)(?::/?|//)([^/].*)", re.DOTALL)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://.*", re.DOTALL)
_FORMS = "give a URL, HOST:PORT or a folder with fragments"
MANIFEST_FORMS = (
    f"give a manifest (regather split makes one): a file NAME{MANIFEST_SUFFIX}, or its URL"
)


class Address(Struct, frozen=True):
    """Where a file is, as the user named it: read and checked once, then passed on."""

    text: str
    """A URL, or a path."""
    url: SplitResult | None = None
    """The URL split; None: a path of this machine."""

    def __str__(self) -> str:
        return self.text

    @property
    def remote(self) -> bool:
        """Whether it is reached over the network."""
        return self.url is not None

    @property
    def path(self) -> str:
        """The path: of this machine, or that of the URL."""
        return self.text if self.url is None else self.url.path

    @property
    def name(self) -> str:
        """The last name of the path, as it was named: redirects do not matter."""
        name = self.path.rpartition("/")[2]
        return unquote(name) if self.remote else name

    @property
    def is_base(self) -> bool:
        """Whether it is the URL of a server or a folder rather than of a file."""
        return self.remote and (not self.path or self.path.endswith("/"))


def address_of(text: str) -> Address:
    """What the user names, with its scheme. Raises UsageError where no transport serves it."""
    text = with_scheme(text)
    check_scheme(text)
    return Address(text, checked_url(text) if is_url(text) else None)


def with_scheme(text: str) -> str:
    """Add ``http://`` to a bare ``host:port/path``, ``https://`` where the port is 443.

    Blanks around a URL, as of one that was copied, go; else URLs and paths are left alone.
    Raises UsageError where a password is in it: it would end up in logs, reports and process lists.
    """
    if is_url(text.strip()):
        text = text.strip()
    if _LOGIN.match(text) and not _names_user(text) and not os.path.exists(text):
        host = text.partition("://")[2] or text
        host = host.partition("/")[0].rpartition("@")[2]
        raise UsageError(
            f"the address of {host} contains a user name or a password",
            help=f"remove them and use --token {host}=FILE, or ~/.netrc",
        )
    match = None if "://" in text or os.path.exists(text) else _HOST_AND_PORT.fullmatch(text)
    if match is None:
        return text
    return f"https://{text}" if int(match[2]) == PORTS["https"] else f"http://{text}"


def _names_user(text: str) -> bool:
    """Whether a URL has a name to log in with, where that is usual, and no password."""
    login = text.partition("://")[2].partition("/")[0].rpartition("@")[0]
    return scheme_of(text) in FILES and bool(login) and not set(":@") & set(login)


def check_scheme(text: str) -> None:
    """Raise UsageError for a URL that no transport serves, or one without its beginning."""
    match = _SCHEME.fullmatch(text)
    if match and not is_url(text) and not os.path.exists(text):
        raise UsageError(f"{text}: {match[1][:20]}:// is not supported", help=f"use {listed()}")
    if "/" in text and (error := scheme_forgotten(text, "file")):
        raise error


def scheme_forgotten(text: str, kind: str = "folder") -> UsageError | None:
    """What to say where ``text``, which is no URL, rather names a host than a folder to be made.

    ``kind`` is what it would be.
    What is there is a folder, and so is all that begins with ``./``, ``../`` or ``/``.
    """
    first = text.partition("/")[0]
    cut = _CUT_SCHEME.fullmatch(text)
    if cut and cut[1].lower() in (*PORTS, *STORES) and not os.path.lexists(first):
        place = cut[2].rpartition("@")[2]  # what is left out may be a login
        return UsageError(
            f"{text if place == cut[2] else place}: no such {kind}; it looks like a URL without "
            "its ://",
            help=f"write {cut[1].lower()}://{place}, or write ./ before it for a {kind}",
        )
    if "://" in text or not _HOSTLIKE.fullmatch(text) or os.path.lexists(first):
        return None
    host = first.rpartition("@")[2].partition(":")[0] if first[:1] != "[" else first
    text = text.rpartition("@")[2] if "@" in first else text  # it may be a login
    return UsageError(
        f"{text}: no such {kind}; it looks like a host without a scheme",
        help=f"write https://{host}/..., or ./{text} for a {kind}",
    )


def checked_url(url: str) -> SplitResult:
    """Split a URL that the user named. Raises UsageError."""
    try:
        parts = split_url(url)
    except ValueError as error:
        raise UsageError(str(error), help="write http://HOST:PORT/ or https://HOST/") from None
    if parts.scheme in FILES and not is_served(url):
        raise UsageError(
            f"{url}: {parts.scheme}:// needs libcurl, which is not installed",
            help=INSTALL,
        )
    return parts


def base_url(server: str) -> str:
    """A source as the user names it (URL, host:port, folder), as a base to add names to."""
    url = with_scheme(server)
    if is_url(url):
        parts = checked_url(url)
        if parts.query or parts.fragment:
            raise UsageError(f"not a base URL: {server!r}", help="remove the query and the #")
    elif not os.path.isdir(url):
        raise _no_source(server)
    return url if url.endswith("/") else url + "/"


def base_urls(servers: Sequence[str]) -> list[str]:
    """The same for several. A folder that is gone is left out if there is another source."""
    kept = [server for server in servers if not _is_gone(server)]
    for server in servers if kept else ():
        if server not in kept:
            _log.warning("regather: warning: %s: no such folder; it is left out", server)
    return [base_url(server) for server in kept or servers]


def _is_gone(server: str) -> bool:
    """Whether it can only be a folder, and there is none."""
    bare = "/" in server and "://" not in server and not os.path.exists(server)
    return bare and not is_url(with_scheme(server)) and scheme_forgotten(server) is None


def target_base(text: str) -> str:
    """A place that takes files, as a base to add names to; a folder need not exist yet."""
    url = with_scheme(text)
    if "://" in url or os.path.exists(url):
        return base_url(text)
    if forgotten := scheme_forgotten(text):
        raise forgotten
    return url if url.endswith("/") else url + "/"


def _no_source(server: str) -> UsageError:
    """What is wrong with a source that is neither a URL nor a folder."""
    check_scheme(server)
    if os.path.exists(server):
        return UsageError(f"{server}: is a file, not a folder", help=_FORMS)
    if re.fullmatch(r"[0-9]{1,5}", server):
        return UsageError(
            f"{server}: a port without a host",
            help=f"write HOST:PORT, for example 127.0.0.1:{server}",
        )
    if _HOST.fullmatch(server):
        return UsageError(
            f"{server}: no such folder, and no port if it is a host",
            help=f"write HOST:PORT, for example {server}:8000, or a URL, or a folder with "
            "fragments",
        )
    return scheme_forgotten(server) or UsageError(f"{server}: no such folder", help=_FORMS)


def local_folders(folder: str, layout: Layout) -> list[str]:
    """The folder itself and its ``server*`` folders, as far as they hold fragments."""
    names = [f.name for f in layout.fragments]
    candidates = [Path(folder), *sorted(Path(folder).glob("server*/"))]
    return [str(path) + "/" for path in candidates if any(os.path.isfile(path / n) for n in names)]


# -- what is no manifest ----------------------------------------------------------------------


def is_base(url: str) -> bool:
    """Whether a URL names a server or a folder rather than a file."""
    return urlsplit(url).path.endswith("/") or not urlsplit(url).path


def server_not_manifest(source: Address) -> UsageError:
    """The error for a base URL where a manifest is meant."""
    return UsageError(
        f"{source}: that is a server, not a manifest",
        help="give the URL of its manifest, or use --server with a manifest",
    )


def check_looks(source: Address, data: bytes) -> None:
    """Raise where ``data`` was never meant to be a manifest.

    A damaged one is left to Manifest, which knows what is wrong with it. A local file that the
    user named by mistake is a UsageError; what a server sends instead is a ManifestError.
    """
    start = data[:4096].lstrip(b" \t\r\n")
    if start.startswith(b"{"):
        return
    error: type[RegatherError] = ManifestError if source.remote else UsageError
    if source.is_base:
        raise server_not_manifest(source)
    if source.remote and start.startswith(b"<"):
        raise error(f"{source}: a web page, not a manifest", help=MANIFEST_FORMS)
    if not source.path.endswith(MANIFEST_SUFFIX):
        raise error(
            f"{source}: not a manifest",
            help=MANIFEST_FORMS
            + "; get also accepts metalinks, and plain fragments with --fragment",
        )
