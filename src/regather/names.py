"""File names and URLs: which are plain, and how a suffix fits into 255 bytes (what fits a name)."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from regather.errors import printable
from regather.schemes import REMOTE, STORES, listed

MAX_NAME_BYTES = 255
MANIFEST_SUFFIX = ".regather.json"
SIGNATURE = ".minisig"
"""What a file is called beside its name that has its signature."""
TEMPORARY = ".regather-part-"
"""Between a file's name, while it is written, and the number of the process that writes it."""
_LONGEST_HOST = 253
"""Characters of a name in DNS (RFC 1035, 2.3.4, without the dot at its end)."""
_SHOWN = 100
_MAX_KIND = 16
"""The longest end of a name that is taken for the kind of the file, like ``.safetensors``."""


def flaw_of(name: str) -> str:
    """Say why ``name`` is no plain file name, or return an empty string.

    Plain means: usable inside any folder, and never able to leave it.
    """
    if not name or name in (".", ".."):
        return "is empty or a folder reference"
    if "/" in name or "\\" in name:
        return "holds a path separator"
    if any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in name):
        return "holds a control character"
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        return "is not valid Unicode"
    return "is longer than 255 bytes" if len(encoded) > MAX_NAME_BYTES else ""


def suffixed(name: str, suffix: str) -> str:
    """Append ``suffix``; a name too long for it is shortened and marked with a digest."""
    encoded = name.encode("utf-8", "surrogateescape")
    room = MAX_NAME_BYTES - len(suffix.encode())
    if len(encoded) <= room:
        return name + suffix
    import hashlib

    mark = "~" + hashlib.blake2s(encoded, digest_size=4).hexdigest()
    return encoded[: room - len(mark)].decode("utf-8", "ignore") + mark + suffix


def signature_name(manifest_name: str) -> str:
    """The name of the signature of a manifest: ``.minisig`` is appended, if it fits."""
    return suffixed(manifest_name, SIGNATURE)


def signature_path(manifest: str | Path) -> Path:
    """The path of the signature of a manifest, beside it."""
    folder, name = os.path.split(manifest)
    return Path(folder, signature_name(name))


def on_disk(name: str) -> str:
    """A name as it is given to the system: where its character set lacks a letter, in UTF-8."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return os.fsdecode(name.encode("utf-8", "surrogatepass"))
    return name


def fitted(name: str) -> str:
    """Shorten a name that is too long for a file; what it ends in stays, to tell its kind.

    Different names stay different, by a digest.
    """
    if len(name.encode("utf-8", "surrogateescape")) <= MAX_NAME_BYTES:
        return name
    stem, dot, ending = name.rpartition(".")
    kind = dot + ending
    return suffixed(stem, kind) if stem and len(kind) <= _MAX_KIND else suffixed(name, "")


def temporary_suffix() -> str:
    """What this process appends to the name of a file that it is still writing."""
    return f"{TEMPORARY}{os.getpid()}"


def bracketed(host: str) -> str:
    """A host as it stands in a URL and before a port: IPv6 addresses in brackets (RFC 3986)."""
    return f"[{host}]" if ":" in host else host


def host_port(host: str, port: int) -> str:
    """``HOST:PORT``, as it stands in a URL."""
    return f"{bracketed(host)}:{port}"


def with_zone(host: str) -> str:
    """A URL's host as it is looked up: ``fe80::1%25eth0`` means fe80::1 on eth0 (RFC 6874)."""
    address, percent, zone = host.partition("%")
    return f"{address}%{zone.removeprefix('25')}" if percent and ":" in address else host


def without_zone(host: str) -> str:
    """A host or authority without the zone, which means nothing to anybody else (RFC 6874, 3)."""
    address, percent, zone = host.partition("%")
    if not percent or ":" not in address:
        return host
    _, bracket, port = zone.partition("]")
    return address + bracket + port


def without_secrets(url: str) -> str:
    """A URL as it may be shown: without login and query, which may let somebody in."""
    start, slashes, rest = re.split(r"[?#]", url, maxsplit=1)[0].partition("//")
    host, slash, path = rest.partition("/")
    return start + slashes + host.rpartition("@")[2] + slash + path


def name_of_server(url: str) -> str:
    """A URL as short as it is told apart from others, without secrets."""
    shown = printable(without_secrets(url))
    return shown.removeprefix("http://").removeprefix("https://").rstrip("/") or shown


def texts(named: str | Path | Sequence[str | Path] | None) -> tuple[str, ...]:
    """What the user names, one or several, URLs or paths, as texts."""
    if named is None:
        return ()
    return (str(named),) if isinstance(named, str | Path) else tuple(map(str, named))


@lru_cache(maxsize=1024)  # asked several times a request
def idna(host: str) -> str:
    """A host in ASCII (RFC 3490). Raises UnicodeError.

    What is ASCII already stays as it is: the codec's tables take a millisecond to import.
    """
    if len(host.removesuffix(".")) > _LONGEST_HOST:  # the codec takes microseconds a character
        raise UnicodeError("label too long")
    if host.isascii() and all(0 < len(label) < 64 for label in host.removesuffix(".").split(".")):
        return host
    return host.encode("idna").decode()


def without_dots(path: str) -> str:
    """The path of a URL without the segments ``.`` and ``..`` (RFC 3986, 5.2.4)."""
    if "/." not in path:
        return path
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == ".." and len(kept) > 1:
            kept.pop()
        elif segment not in (".", ".."):
            kept.append(segment)
    if path.endswith(("/.", "/..")):
        kept.append("")
    return "/".join(kept)


def split_url(url: str, schemes: frozenset[str] = REMOTE) -> SplitResult:
    """Split a URL of one of ``schemes`` that names a host; raise ValueError, saying why, if not.

    What raises nothing here can be connected to: host and port can be written on the wire.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
        url.encode()
        ascii_ = idna(host) if host else ""
        if parts.scheme not in STORES and not all("!" <= c <= "~" for c in ascii_):
            raise ValueError("invalid host name")
    except ValueError as error:  # UnicodeError is one
        why = "invalid host name" if "netloc" in str(error) else error  # it quotes the login
        raise ValueError(f"not a URL: {_shown(url)} ({why})") from None
    if parts.scheme not in schemes:
        raise ValueError(f"not {listed(schemes)}: {_shown(url)}")
    if not host:
        raise ValueError(f"not a URL: {_shown(url)} (no host)")
    try:
        port = parts.port
    except ValueError:
        port = 0
    if port == 0:  # what stands in its place may be a password
        raise ValueError(f"not a URL: {parts.scheme}://{bracketed(host)} with such a port")
    return parts


def _shown(url: str) -> str:
    named = without_secrets(url)
    return repr(named if len(named) <= _SHOWN else named[:_SHOWN] + "...")
