"""Heads and their fields as servers write them, made into what the RFCs say they should be.

What is odd but harmless is put right or left out, for a file is no worse for it. All of this costs
one look at each byte: who sends it is a stranger.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import quote

__all__ = [
    "HeadFields",
    "coding_of",
    "decoded",
    "head_end",
    "head_fields",
    "is_binary",
    "link_text",
    "media_type",
]

_BLANK_LINE = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(
    r"(?:HTTP/([0-9](?:\.[0-9])?)|ICY)[ \t]++([0-9]{3})(?![0-9])", re.IGNORECASE | re.ASCII
)
_LENGTH = re.compile(r"\+?(?=[0-9])0*+([0-9]{0,19})(?![0-9])")
_NAME = re.compile(r"[-!#$%&'*+.^_`|~0-9a-z]++")
_SPACE = " \t"
_BINARY = bytes((*range(9), 11, *range(14, 27), *range(28, 32)))
_INHERENT = {
    "gzip": (".gz", ".tgz", ".taz", ".svgz"),
    "compress": (".z",),
    "bzip2": (".bz2", ".tbz", ".tbz2"),
    "br": (".br",),
    "zstd": (".zst", ".tzst"),
    "xz": (".xz", ".txz"),
    "lzma": (".lzma",),
}
"""Names of files that are themselves what a coding makes."""
_CODINGS = frozenset((*_INHERENT, "deflate", "dcb", "dcz", "exi", "pack200-gzip", "aes128gcm"))
"""What Content-Encoding may say that means something; servers also write utf-8, binary or none."""
_CONTROLS = bytes.maketrans(bytes((*range(9), *range(11, 32), 127)), b" " * 31)
"""All but the ends of lines, and tabs."""


def head_end(data: bytes | bytearray, start: int = 0) -> int:
    """Where the head at the beginning of ``data`` ends, or -1: after an empty line.

    Lines may end with a bare LF (RFC 9112, 2.2). What comes before ``start`` was looked at already.
    """
    match = _BLANK_LINE.search(data, max(start - 2, 0))
    return match.end() if match else -1


class HeadFields(NamedTuple):
    """A response head as it came, with what is odd put right."""

    status: int
    modern: bool
    """Whether it is of HTTP/1.1, where connections stay by themselves."""
    fields: list[tuple[str, str]]
    """Names in lower case; one for each line."""


def head_fields(data: bytes) -> HeadFields | None:
    """Read a response head (RFC 9112), one field a line; None where it is none.

    What is no field is left out. Control characters are blanks (RFC 9110, 5.5), folded lines one
    (RFC 9112, 5.2), and blanks before a colon go (5.1). ``Transfer-Encoding: identity``, of RFC
    2616, means nothing, and ``chunked`` is meant once. A length that is no number, or two different
    ones, is none. Whatever version the server names, this is HTTP/1.
    """
    first, *rest = data.translate(_CONTROLS).decode("latin-1").split("\n")
    status = _STATUS_LINE.match(first)
    if status is None or status[2] < "100":
        return None
    lines: list[list[str]] = []
    for line in rest:
        if line[:1] in (" ", "\t"):
            if lines:
                lines[-1].append(line.strip(_SPACE))
        else:
            lines.append([line.rstrip(_SPACE)])
    fields: list[tuple[str, str]] = []
    lengths: set[str] = set()
    codings: set[str] = set()
    for parts in lines:
        name, colon, value = " ".join(parts).partition(":")
        name, value = name.rstrip(_SPACE).lower(), value.strip(_SPACE)
        if not colon or not _NAME.fullmatch(name):
            continue
        if name == "transfer-encoding":
            codings |= {one.partition(";")[0].strip(_SPACE) for one in value.lower().split(",")}
        elif name == "content-length":
            numbers = [_LENGTH.match(one.strip(_SPACE)) for one in value.split(",")]
            lengths |= {number[1] or "0" if number else "" for number in numbers}
        else:
            fields.append((name, value))
    if codings := codings - {"identity", ""}:
        fields.append(("transfer-encoding", ", ".join(sorted(codings))))
    if len(lengths) == 1 and (length := lengths.pop()):
        fields.append(("content-length", length))
    return HeadFields(int(status[2]), status[1] != "1.0", fields)


def link_text(value: str) -> str:
    """The URL in a field, which came as bytes: UTF-8 as such, other bytes percent-encoded."""
    raw = value.encode("latin-1")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return quote(raw, safe="".join(map(chr, range(33, 127))))


def media_type(value: str) -> str:
    """The type in Content-Type, in lower case and without parameters (RFC 9110, 8.3.1)."""
    return value.partition(";")[0].strip().lower()


def coding_of(value: str, *paths: str) -> str:
    """The coding that Content-Encoding names, empty where it means nothing.

    It means nothing where ``paths``, one of a file's URLs, say that the file itself is so coded:
    servers take its name for its coding.
    """
    named = (one.strip().lower().removeprefix("x-") for one in value.split(","))
    codings = [one for one in named if one in _CODINGS]
    if len(codings) == 1 and any(
        path.lower().endswith(_INHERENT.get(codings[0], "\0")) for path in paths
    ):
        return ""
    return ", ".join(codings)


def decoded(body: bytes, value: str, limit: int) -> bytes:
    """A small document without the coding of Content-Encoding, which it may be sent in anyway.

    Raises ValueError where that cannot be, or it would have more than ``limit`` bytes.
    """
    coding = coding_of(value)
    if not coding or body.lstrip()[:1] in (b"{", b"<"):  # it is said to be, and is not
        return body
    if coding not in ("gzip", "deflate"):
        raise ValueError(
            f"the server sends it with Content-Encoding {coding}, although it was declined"
        )
    import zlib

    reader = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either, by how it begins
    try:
        plain = reader.decompress(body, limit + 1)
    except zlib.error:
        raise ValueError(f"is not {coding}-coded as its server says") from None
    if len(plain) > limit:
        raise ValueError(f"larger than {limit} bytes")
    return plain


def is_binary(start: bytes) -> bool:
    """Whether bytes that no text has are among these (WHATWG MIME Sniffing, 3)."""
    return len(start) != len(start.translate(None, _BINARY))
