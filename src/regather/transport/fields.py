"""Heads and their fields as servers write them, made into what the RFCs say they should be.

What is odd but harmless is put right or left out, for a file is no worse for it. All of this costs
one look at each byte: who sends it is a stranger.
"""

from __future__ import annotations

import re
from urllib.parse import quote

__all__ = ["cleaned", "coding_of", "decoded", "head_end", "is_binary", "link_text", "media_type"]

_BLANK_LINE = re.compile(rb"\n\r?\n")
_STATUS_LINE = re.compile(
    rb"(?:HTTP/([0-9](?:\.[0-9])?)|ICY)[ \t]++([0-9]{3})(?![0-9])", re.IGNORECASE
)
_LENGTH = re.compile(rb"\+?(?=[0-9])0*+([0-9]{0,19})(?![0-9])")
_NAME = re.compile(rb"[-!#$%&'*+.^_`|~0-9a-zA-Z]++")
_SPACE = b" \t"
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
_CONTROLS = bytes.maketrans(bytes((*range(9), *range(10, 32), 127)), b" " * 32)


def head_end(data: bytes | bytearray, start: int = 0) -> int:
    """Where the head at the beginning of ``data`` ends, or -1: after an empty line.

    Lines may end with a bare LF (RFC 9112, 2.2). What comes before ``start`` was looked at already.
    """
    match = _BLANK_LINE.search(data, max(start - 2, 0))
    return match.end() if match else -1


def cleaned(data: bytes) -> bytes:
    """A response head in the form of RFC 9112, one line a field; what is no field is left out.

    Control characters become blanks (RFC 9110, 5.5), folded lines one (RFC 9112, 5.2), and blanks
    before a colon go (5.1). ``Transfer-Encoding: identity``, of RFC 2616, means nothing, and
    ``chunked`` is meant once. A length that is no number, or two different ones, is none.
    Whatever version the server names, this is HTTP/1.
    """
    first, *lines = data.split(b"\n")
    status = _STATUS_LINE.match(first)
    if status is not None:  # what follows in it is for people
        version = b"1.0" if status[1] == b"1.0" else b"1.1"
        first = b"HTTP/%b %b " % (version, status[2])
    fields: list[list[bytes]] = []
    for line in (one.translate(_CONTROLS) for one in lines):
        if line[:1] in (b" ", b"\t"):
            if fields:
                fields[-1].append(line.strip(_SPACE))
        else:
            fields.append([line.rstrip(_SPACE)])
    kept = [first.rstrip(b"\r")]
    lengths: set[bytes] = set()
    codings: set[bytes] = set()
    for field in fields:
        name, colon, value = b" ".join(field).partition(b":")
        name, value = name.rstrip(_SPACE), value.strip(_SPACE)
        if not colon or not _NAME.fullmatch(name):
            continue
        if name.lower() == b"transfer-encoding":
            codings |= {one.partition(b";")[0].strip(_SPACE) for one in value.lower().split(b",")}
        elif name.lower() == b"content-length":
            numbers = [_LENGTH.match(one.strip(_SPACE)) for one in value.split(b",")]
            lengths |= {number[1] or b"0" if number else b"" for number in numbers}
        else:
            kept.append(name + b": " + value)
    if codings := codings - {b"identity", b""}:
        kept.append(b"Transfer-Encoding: " + b", ".join(sorted(codings)))
    if len(lengths) == 1 and (length := lengths.pop()):
        kept.append(b"Content-Length: " + length)
    return b"\r\n".join(kept) + b"\r\n\r\n"


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
