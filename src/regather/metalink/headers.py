"""What servers say of a file in the heads of their answers. Pure text, no I/O.

``Digest`` (RFC 3230), ``Repr-Digest`` (RFC 9530), ``Link`` (RFC 8288, with the relations of
RFC 6249) and the name in ``Content-Disposition`` (RFC 6266).
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from urllib.parse import unquote_to_bytes, urljoin

from msgspec import Struct

from regather.checksum import Checksum, algorithm_of
from regather.hashes import HASH_SIZES
from regather.names import fitted, flaw_of

_MEMBER = re.compile(r"\s*+([A-Za-z0-9_-]++)\s*+=\s*+:?([A-Za-z0-9+/=]++):?\s*+(?:;[^,]*+)?")
_BETWEEN_LINKS = re.compile(r"[\s,]*+")
_LINK = re.compile(r"<([^<>]*+)>")
_PARAMETER = re.compile(
    r"""\s*+;\s*+(?:([^\s=;,"<>]++)\s*+(?:=\s*+(?:"((?:[^"\\]|\\.)*+)"|([^";,\s]*+)))?+)?+"""
)
# Quoted text without its end goes to the end of all: so each character is looked at once.
_QUOTED = r'"(?:[^"\\]|\\.?)*+(?:"|\Z)'
_OF_NAME = re.compile(rf'{_QUOTED}|[^";]++|;', re.DOTALL)
_TEXT = re.compile(r'"((?:[^"\\]|\\.?)*+)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.?)", re.DOTALL)
_WINDOWS_PATH = re.compile(r"(?:[A-Za-z]:|\\)\\")
_CHARSETS = re.compile(
    r"utf-?8|us-ascii|iso-?8859-?[0-9]{1,2}|windows-[0-9]{3,4}|euc-jp|euc-kr|shift_jis|big5"
    r"|gb2312|gbk|gb18030|koi8-[ru]"
)
_ENCODED_WORD = re.compile(r"=\?([^?]{1,40})\?([bq])\?([^?]*+)\?=", re.IGNORECASE)
_BETWEEN_WORDS = re.compile(r"\?=\s++=\?")
_MISLEADING = dict.fromkeys(
    (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
)
"""Characters that turn the direction of what follows: a name would look like another."""
_LONGEST = 4 << 10
"""Characters of a Content-Disposition that are looked at."""
METALINK_TYPE = "application/metalink4+xml"
_MOST_LINKS = 100


class Links(Struct, frozen=True):
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
        if between := _BETWEEN_LINKS.match(text, at):
            at = between.end()  # in any case, or it would be looked at again
        match = _LINK.match(text, at)
        if match is not None:
            values: dict[str, str] = {}
            target, at = match[1].strip(), match.end()
            while parameter := _PARAMETER.match(text, at):
                name, quoted, plain = parameter.groups(default="")
                # Of several with one name the first counts (RFC 8288 3.3).
                values.setdefault(name.lower(), _ESCAPED.sub(r"\1", quoted) or plain)
                at = parameter.end()
            yield target, values
        at = text.find(",", at)
        at += at >= 0  # behind it, or at the end


def offered_name(headers: Mapping[str, str]) -> str:
    """The file name that Content-Disposition offers, made harmless; empty where there is none.

    As RFC 6266 and RFC 8187 have it, and as servers write it: without quotes, in UTF-8, as an
    encoded word of mail. Folders are dropped from it, and dots at its start: a server must not
    name hidden files.
    """
    text = headers.get("content-disposition", "")
    if len(text) > _LONGEST:
        return ""
    values = _parameters(_parts(text))
    texts = _extended(values.get("filename*", "")), _continued(values)
    names = map(_harmless, (*texts, _plain(values.get("filename", ""))))
    return next(filter(None, names), "")


def _parts(text: str) -> Iterator[str]:
    """What stands between semicolons, but for those in quotes."""
    part = ""
    for piece in _OF_NAME.findall(text):
        if piece == ";":
            yield part
            part = ""
        else:
            part += piece
    yield part


def _parameters(parts: Iterable[str]) -> dict[str, str]:
    """Names in lower case and values, of which the first counts."""
    values: dict[str, str] = {}
    for part in parts:
        name, equals, value = part.partition("=")
        words = name.split()
        if equals and words:
            values.setdefault(words[-1].lower(), value.strip())
    return values


def _unquoted(value: str) -> str:
    """A value without quotes (RFC 9110, 5.6.4); what stands behind them means nothing."""
    value = value.strip()
    if not value.startswith('"'):
        return value
    match = _TEXT.match(value)
    inner = match[1] if match else ""
    # Browsers of old sent paths, and servers send them back.
    return inner if _WINDOWS_PATH.match(inner) else _ESCAPED.sub(r"\1", inner)


def _extended(value: str) -> str:
    """The value of ``filename*`` (RFC 8187, 3.2); empty where it is none."""
    charset, _, rest = value.strip('" ').partition("'")
    _, quote, encoded = rest.partition("'")
    if not quote or not _CHARSETS.fullmatch(charset.lower()):
        return ""
    try:
        return unquote_to_bytes(encoded.strip('"').encode("latin-1", "replace")).decode(charset)
    except (LookupError, UnicodeError):
        return ""


def _continued(values: Mapping[str, str]) -> str:
    """The value of ``filename`` in numbered parts, as in mail (RFC 2231, 3 and 4.1)."""
    parts, charset = [], "utf-8"
    for number in range(len(values)):
        name = f"filename*{number}"
        coded = values.get(f"{name}*", "").strip('" ')
        if coded and not number:
            charset, _, coded = coded.partition("'")
            coded = coded.partition("'")[2]
        if not coded and name not in values:
            break
        plain = _unquoted(values.get(name, "")).encode("latin-1", "replace")
        parts.append(unquote_to_bytes(coded.encode("latin-1", "replace")) or plain)
    raw = b"".join(parts)
    try:
        return raw.decode(charset if _CHARSETS.fullmatch(charset.lower()) else "utf-8")
    except (LookupError, UnicodeError):
        return raw.decode("latin-1")


def _plain(value: str) -> str:
    """The value of ``filename``: in ISO-8859-1, or UTF-8, or encoded as in mail (RFC 2047)."""
    raw = _unquoted(value).encode("latin-1", "replace")
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
    return _ENCODED_WORD.sub(_decoded_word, _BETWEEN_WORDS.sub("?==?", text))


def _decoded_word(match: re.Match[str]) -> str:
    charset, kind, text = match.groups()
    try:
        raw = text.encode("ascii")
        data = b64decode(raw, validate=True) if kind in "bB" else _from_q(raw)
        return data.decode(charset) if _CHARSETS.fullmatch(charset.lower()) else match[0]
    except (LookupError, ValueError):  # UnicodeError is one
        return match[0]


def _from_q(text: bytes) -> bytes:
    return binascii.a2b_qp(text, header=True)


def _harmless(name: str) -> str:
    """A name that can be given to a file, or an empty one."""
    name = fitted(re.split(r"[/\\]", name)[-1].translate(_MISLEADING).strip().lstrip(". "))
    return "" if flaw_of(name) else name
