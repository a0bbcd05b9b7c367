"""Metalink documents read: version 4 (RFC 5854), and the older version 3 as far as it is alike.

A metalink is untrusted input. DTDs are refused as a whole, and with them every entity; size,
depth and counts are bounded; names that would lead out of a folder are refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NoReturn
from xml.parsers import expat

from regather.checksum import Checksum, algorithm_of
from regather.errors import ManifestError
from regather.metalink.values import Metalink, MetalinkFile, Mirror, Pieces
from regather.model import HASH_SIZES
from regather.names import flaw_of, split_url
from regather.units import MAX_SIZE

__all__ = ["MAX_METALINK_BYTES", "looks_like_metalink", "path_flaw", "read_metalink"]

MAX_METALINK_BYTES = 64 << 20
_NAMESPACE_4 = "urn:ietf:params:xml:ns:metalink"
_NAMESPACE_3 = "http://www.metalinker.org/"
_WRAPPERS = frozenset(("files", "resources", "verification"))
"""What version 3 puts around the elements that version 4 has without them."""
_MAX_DEPTH = 16
_MAX_FILES = 100_000
_MAX_MIRRORS = 10_000
_MAX_TEXT = 8 << 10
"""Characters of one element that is read."""
_MAX_PRIORITY = 999_999
_DRIVE = re.compile(r"[A-Za-z]:")
_START = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*\?>\s*)?(<!--.*?-->\s*)*<(!DOCTYPE\s+)?(\w+:)?metalink[\s>]",
    re.DOTALL,
)


def looks_like_metalink(start: bytes) -> bool:
    """Whether a document that begins like this is a metalink."""
    return _START.match(start[:4096]) is not None


def read_metalink(data: bytes, where: str = "metalink") -> Metalink:
    """Read and check a metalink; ``where`` names it in messages. Raises ManifestError."""
    if len(data) > MAX_METALINK_BYTES:
        raise ManifestError(f"{where}: larger than {MAX_METALINK_BYTES >> 20} MiB: not a metalink")
    try:
        return _Reader().read(data)
    except _Flaw as flaw:
        raise ManifestError(f"{where}: {flaw}", help="ask its publisher for a right one") from None
    except (expat.ExpatError, LookupError, ValueError) as error:  # encodings that are none
        raise ManifestError(
            f"{where}: not well-formed XML, or cut short ({error})", help="fetch it again"
        ) from None


def path_flaw(name: str) -> str:
    """Say why ``name`` is no path below a folder, or return an empty string."""
    if name.startswith(("/", "\\")):
        return "is an absolute path"
    if _DRIVE.match(name):
        return "names a drive"
    return next((flaw for part in name.split("/") if (flaw := flaw_of(part))), "")


class _Flaw(Exception):
    """What is wrong with a metalink."""


@dataclass(slots=True)
class _Pieces:
    algorithm: str
    length: int | None
    hashes: list[tuple[int | None, str]] = field(default_factory=list)


@dataclass(slots=True)
class _File:
    name: str
    size: int | None = None
    checksums: dict[str, Checksum] = field(default_factory=dict)
    pieces: list[_Pieces] = field(default_factory=list)
    mirrors: list[Mirror] = field(default_factory=list)
    others: int = 0
    signed: bool = False


class _Reader:
    """Takes the document element by element; keeps only what is of use here."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._namespace = ""
        self._files: list[_File] = []
        self._text: list[str] | None = None
        self._length = 0
        self._ended: Callable[[str], None] | None = None

    def read(self, data: bytes) -> Metalink:
        parser = expat.ParserCreate(namespace_separator=" ")
        parser.buffer_text = True
        parser.StartDoctypeDeclHandler = _no_dtd
        parser.EntityDeclHandler = _no_dtd
        parser.UnparsedEntityDeclHandler = _no_dtd
        parser.ExternalEntityRefHandler = _no_dtd
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.Parse(data, True)
        if not self._files:
            raise _Flaw("names no file")
        files = tuple(_checked(file) for file in self._files)
        names = [file.name for file in files]
        if len(set(names)) < len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise _Flaw(f"file {twice[:60]!r} stands twice")
        return Metalink(files, 4 if self._namespace == _NAMESPACE_4 else 3)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        namespace, _, name = tag.rpartition(" ")
        if not self._path:
            if name != "metalink" or namespace not in (_NAMESPACE_4, _NAMESPACE_3):
                raise _Flaw(f"not a metalink: its root is {name[:40]!r} of {namespace[:60]!r}")
            self._namespace = namespace
        elif namespace != self._namespace:
            name = ""  # extensions of others, which may stand anywhere
        self._path.append(name)
        if len(self._path) > _MAX_DEPTH:
            raise _Flaw("elements are nested too deeply")
        if name in _WRAPPERS:
            return
        at = tuple(n for n in self._path[1:] if n not in _WRAPPERS)
        if at == ("file",):
            self._file(attributes)
        elif at[:1] == ("file",) and self._files:
            self._inside(at[1:], attributes, self._files[-1])

    def _file(self, attributes: dict[str, str]) -> None:
        name = attributes.get("name", "")
        if flaw := path_flaw(name):
            raise _Flaw(f"file name {name[:60]!r} {flaw}")
        if len(self._files) >= _MAX_FILES:
            raise _Flaw(f"names more than {_MAX_FILES} files")
        self._files.append(_File(name))

    def _inside(self, at: tuple[str, ...], attributes: dict[str, str], file: _File) -> None:
        if at == ("size",):
            self._take(lambda text: setattr(file, "size", _number(text, "size", MAX_SIZE)))
        elif at == ("hash",):
            algorithm = algorithm_of(attributes.get("type", ""))
            if algorithm:
                self._take(lambda text: _note(file, algorithm, text))
        elif at == ("pieces",):
            length = _number(attributes.get("length", ""), "the length of pieces", MAX_SIZE)
            file.pieces.append(_Pieces(algorithm_of(attributes.get("type", "")), length))
        elif at == ("pieces", "hash"):
            number = attributes.get("piece")
            position = None if number is None else _number(number, "piece", MAX_SIZE)
            pieces = file.pieces[-1]
            self._take(lambda text: pieces.hashes.append((position, text)))
        elif at == ("url",):
            self._take(lambda text: _add_mirror(file, text, attributes))
        elif at == ("signature",):
            file.signed = True

    def _take(self, ended: Callable[[str], None]) -> None:
        self._text, self._length, self._ended = [], 0, ended

    def _characters(self, data: str) -> None:
        if self._text is not None:
            self._length += len(data)
            if self._length > _MAX_TEXT:
                raise _Flaw(f"{self._path[-1]}: longer than {_MAX_TEXT} characters")
            self._text.append(data)

    def _end(self, tag: str) -> None:
        if self._text is not None and self._ended is not None:
            text, ended = "".join(self._text).strip(), self._ended
            self._text = self._ended = None
            ended(text)
        self._path.pop()


def _no_dtd(*_: object) -> NoReturn:
    raise _Flaw("has a DTD or entities: refused")


def _number(text: str, what: str, most: int) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 19 or int(text) > most:
        raise _Flaw(f"{what} is {text[:40]!r}, not a number that can be")
    return int(text)


def _digest(algorithm: str, text: str) -> bytes:
    try:
        digest = bytes.fromhex(text)
    except ValueError:
        digest = b""
    if len(digest) != HASH_SIZES[algorithm]:
        raise _Flaw(f"{algorithm} is {text[:80]!r}, not a hash of that kind")
    return digest


def _note(file: _File, algorithm: str, text: str) -> None:
    checksum = Checksum(algorithm, _digest(algorithm, text), "metalink")
    if file.checksums.setdefault(algorithm, checksum) != checksum:
        raise _Flaw(f"file {file.name[:60]!r} has two different {algorithm} hashes")


def _add_mirror(file: _File, url: str, attributes: dict[str, str]) -> None:
    try:
        parts = split_url(url)
        usable = "@" not in parts.netloc and url.isprintable()
    except ValueError:
        usable = False
    if not usable:
        file.others += 1
        return
    if len(file.mirrors) >= _MAX_MIRRORS:
        raise _Flaw(f"file {file.name[:60]!r} has more than {_MAX_MIRRORS} URLs")
    priority = _MAX_PRIORITY
    if value := attributes.get("priority", ""):
        priority = max(1, _number(value, "priority", _MAX_PRIORITY))
    elif value := attributes.get("preference", ""):  # version 3: 100 is the best
        priority = max(1, 101 - _number(value, "preference", 100))
    location = attributes.get("location", "").lower()[:8]
    file.mirrors.append(Mirror(url, priority, location))


def _checked(file: _File) -> MetalinkFile:
    return MetalinkFile(
        name=file.name,
        size=file.size,
        checksums=tuple(file.checksums.values()),
        pieces=tuple(
            made for pieces in file.pieces if (made := _checked_pieces(file, pieces)) is not None
        ),
        mirrors=tuple(sorted(file.mirrors, key=lambda mirror: mirror.priority)),
        others=file.others,
        signed=file.signed,
    )


def _checked_pieces(file: _File, pieces: _Pieces) -> Pieces | None:
    """The pieces, or None where they are of a hash that is not known here, or without a size."""
    if not pieces.algorithm or file.size is None:
        return None
    if not pieces.length:
        raise _Flaw(f"file {file.name[:60]!r}: pieces of no length")
    expected = -(-file.size // pieces.length)
    if len(pieces.hashes) != expected:
        raise _Flaw(
            f"file {file.name[:60]!r} has {len(pieces.hashes)} piece hashes, "
            f"{file.size} bytes need {expected}"
        )
    numbered = [
        (at if number is None else number, text) for at, (number, text) in enumerate(pieces.hashes)
    ]
    numbered.sort(key=lambda pair: pair[0])
    if [number for number, _ in numbered] != list(range(expected)):
        raise _Flaw(f"file {file.name[:60]!r}: its piece numbers leave a gap")
    packed = b"".join(_digest(pieces.algorithm, text) for _, text in numbered)
    return Pieces(pieces.algorithm, pieces.length, packed)
