"""What servers say of a file in the heads of their answers. Pure text, no I/O.

``Digest`` (RFC 3230), ``Repr-Digest`` (RFC 9530), ``Link`` (RFC 8288, with the relations of
RFC 6249) and the name in ``Content-Disposition`` (RFC 6266).
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from urllib.parse import unquote, urljoin

from regather.checksum import Checksum, algorithm_of
from regather.model import HASH_SIZES
from regather.names import flaw_of

_MEMBER = re.compile(r"\s*([A-Za-z0-9_-]+)\s*=\s*:?([A-Za-z0-9+/=]+):?\s*(?:;[^,]*)?")
_LINK = re.compile(r"[\s,]*+<([^<>]*+)>")
_PARAMETER = re.compile(
    r"""\s*+;\s*+(?:([^\s=;,"<>]++)\s*+(?:=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^";,\s]*+)))?+)?+"""
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_EXTENDED_NAME = re.compile(r"filename\*\s*=\s*utf-8'[^']*'([^\s;]+)", re.IGNORECASE)
_NAME = re.compile(r'filename\s*=\s*(?:"((?:\\.|[^"\\])*)"|([^\s;"]+))', re.IGNORECASE)
METALINK_TYPE = "application/metalink4+xml"
_MOST_LINKS = 100


@dataclass(frozen=True, slots=True)
class Links:
    """Where else a file is, by its server."""

    duplicates: tuple[str, ...] = ()
    """Mirrors of the same file, the best first."""
    metalinks: tuple[str, ...] = ()
    """Metalinks that describe it."""


def digests(headers: Mapping[str, str], origin: str) -> tuple[Checksum, ...]:
    """Hashes of the whole file that a head names; ``origin`` is who says so."""
    found: dict[str, Checksum] = {}
    for name in ("repr-digest", "digest"):
        for member in headers.get(name, "").split(","):
            match = _MEMBER.fullmatch(member)
            algorithm = algorithm_of("sha1" if match and match[1].lower() == "sha" else "")
            if match is None or not (algorithm := algorithm or algorithm_of(match[1])):
                continue
            try:
                digest = b64decode(match[2], validate=True)
            except (binascii.Error, ValueError):
                continue
            if len(digest) == HASH_SIZES[algorithm]:
                found.setdefault(algorithm, Checksum(algorithm, digest, origin))
    return tuple(found.values())


def links(headers: Mapping[str, str], base: str) -> Links:
    """The mirrors and metalinks that a head names; ``base`` is the URL that was answered."""
    duplicates: list[tuple[int, int, str]] = []
    metalinks: list[str] = []
    for number, (target, values) in enumerate(islice(_links(headers.get("link", "")), _MOST_LINKS)):
        try:
            url = urljoin(base, target)
        except ValueError:
            continue
        relations = values.get("rel", "").lower().split()
        if "duplicate" in relations:
            priority = values.get("pri", "")
            usable = priority.isascii() and priority.isdigit() and len(priority) < 7
            duplicates.append((int(priority) if usable else 999_999, number, url))
        elif "describedby" in relations and values.get("type", "").lower() == METALINK_TYPE:
            metalinks.append(url)
    return Links(tuple(url for *_, url in sorted(duplicates)), tuple(metalinks))


def _links(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Targets and parameters of a Link header, in linear time; what is malformed is skipped."""
    at = 0
    while 0 <= at < len(text):
        match = _LINK.match(text, at)
        if match is not None:
            values: dict[str, str] = {}
            target, at = match[1].strip(), match.end()
            while parameter := _PARAMETER.match(text, at):
                name, quoted, plain = parameter.groups(default="")
                # Of several with one name the first counts (RFC 8288 3.3).
                values.setdefault(name.lower(), _ESCAPE.sub(r"\1", quoted) or plain)
                at = parameter.end()
            yield target, values
        at = text.find(",", at)
        at += at >= 0  # behind it, or at the end


def offered_name(headers: Mapping[str, str]) -> str:
    """The file name that Content-Disposition offers, made harmless; empty where there is none.

    Folders are dropped from it, and dots at its start: a server must not name hidden files.
    """
    text = headers.get("content-disposition", "")
    if match := _EXTENDED_NAME.search(text):
        name = unquote(match[1], errors="replace")
    elif match := _NAME.search(text):
        name = match[1] if match[1] is not None else match[2]
        name = name.encode("latin-1", "replace").decode("utf-8", "replace")
    else:
        return ""
    name = re.split(r"[/\\]", name)[-1].strip().lstrip(".")
    return "" if flaw_of(name) else name
