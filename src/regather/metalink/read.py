"""Metalink documents read: version 4 (RFC 5854), and the older version 3 as far as it is alike.

A metalink is untrusted input. DTDs are refused as a whole, and with them every entity; size,
depth and counts are bounded. A value that cannot be is left out, and told, as others do too (aria2,
libmetalink, librepo); a file whose name would lead out of a folder is left out as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn
from xml.parsers import expat

from msgspec import Struct, field

from regather.checksum import Checksum, algorithm_of
from regather.errors import ManifestError
from regather.metalink.detect import MAX_METALINK_BYTES
from regather.metalink.parts import (
    LOWEST_PRIORITY,
    Notes,
    PieceHashes,
    Unusable,
    digest,
    number,
    packed,
    path_flaw,
    priority,
)
from regather.metalink.values import Metalink, MetalinkFile, Mirror, Pieces
from regather.names import split_url
from regather.schemes import REMOTE
from regather.units import MAX_SIZE

_NAMESPACE_4 = "urn:ietf:params:xml:ns:metalink"
_NAMESPACE_3 = "http://www.metalinker.org/"
_ROOTS = frozenset((_NAMESPACE_4, _NAMESPACE_3, ""))
"""Namespaces of the root; some leave it out."""
_WRAPPERS = frozenset(("files", "resources", "verification"))
"""What version 3 puts around the elements that version 4 has without them."""
_MAX_DEPTH = 16
_MAX_FILES = 100_000
_MAX_MIRRORS = 10_000
_MAX_TEXT = 8 << 10
"""Characters of one element that is read."""


def read_metalink(data: bytes, where: str = "metalink") -> Metalink:
    """Read and check a metalink; ``where`` names it in messages. Raises ManifestError."""
    if len(data) > MAX_METALINK_BYTES:
        raise ManifestError(f"{where}: larger than {MAX_METALINK_BYTES >> 20} MiB: not a metalink")
    try:
        return _MetalinkParser().read(data)
    except _MetalinkFlaw as flaw:
        raise ManifestError(
            f"{where}: {flaw}", help="ask its publisher for a correct one"
        ) from None
    except (expat.ExpatError, LookupError, ValueError) as error:  # encodings that are none
        raise ManifestError(
            f"{where}: not well-formed XML, or truncated ({error})", help="download it again"
        ) from None


class _MetalinkFlaw(Exception):
    """What is wrong with a metalink, as a whole."""


class _File(Struct):
    name: str
    size: int | None = None
    checksums: dict[str, Checksum] = field(default_factory=dict)
    pieces: list[PieceHashes] = field(default_factory=list)
    mirrors: list[Mirror] = field(default_factory=list)
    others: int = 0
    signed: bool = False
    notes: Notes = field(default_factory=Notes)
    hashes: int = 0
    """Of kinds that are known, good or not."""
    lost: bool = False
    """Whether a hash, or the size, was left out."""
    flaw: str = ""
    """Why nothing of it can be believed."""


class _MetalinkParser:
    """Takes the document element by element; keeps only what is of use here."""

    def __init__(self) -> None:
        self._path: list[str] = []
        self._namespace = ""
        self._files: list[_File] = []
        self._file: _File | None = None
        self._names: set[str] = set()
        self._count = 0
        self._notes = Notes()
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
        # Scripts print blank lines before the declaration, which XML does not permit.
        parser.Parse(data.lstrip(b" \t\r\n"), True)
        for file in self._files:
            if file.flaw:
                self._notes.add(Unusable(f"file {file.name[:60]!r} has {file.flaw}"))
        files = tuple(_checked(file) for file in self._files if not file.flaw)
        if not files:
            raise _MetalinkFlaw(f"contains no usable file{self._reasons()}")
        return Metalink(files, 4 if self._namespace == _NAMESPACE_4 else 3, self._notes.all())

    def _reasons(self) -> str:
        return "".join(f" ({line})" for line in self._notes.lines[:1])

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        namespace, _, name = tag.rpartition(" ")
        if not self._path:
            if name != "metalink" or namespace not in _ROOTS:
                raise _MetalinkFlaw(
                    f"not a metalink: its root is {name[:40]!r} of {namespace[:60]!r}"
                )
            self._namespace = namespace
        elif namespace != self._namespace:
            name = ""  # extensions of others, which may stand anywhere
        self._path.append(name)
        if len(self._path) > _MAX_DEPTH:
            raise _MetalinkFlaw("elements are nested too deeply")
        if name in _WRAPPERS:
            return
        at = tuple(n for n in self._path[1:] if n not in _WRAPPERS)
        if at == ("file",):
            self._file = self._begun(attributes)
        elif at[:1] == ("file",) and self._file is not None:
            try:
                self._inside(at[1:], attributes, self._file)
            except Unusable as error:
                self._file.notes.add(error)

    def _begun(self, attributes: dict[str, str]) -> _File | None:
        """The file that begins here; None where it is left out."""
        name = attributes.get("name", "")
        self._count += 1
        if self._count > _MAX_FILES:
            raise _MetalinkFlaw(f"names more than {_MAX_FILES} files")
        if flaw := path_flaw(name):
            self._notes.add(Unusable(f"file name {name[:60]!r} {flaw}"))
            return None
        if name in self._names:
            self._notes.add(Unusable(f"file {name[:60]!r} is listed twice, the second time"))
            return None
        self._names.add(name)
        self._files.append(_File(name))
        return self._files[-1]

    def _inside(self, at: tuple[str, ...], attributes: dict[str, str], file: _File) -> None:
        if at == ("size",):
            self._take(lambda text: _set_size(file, text))
        elif at == ("hash",):
            algorithm = algorithm_of(attributes.get("type", ""))
            if algorithm:
                file.hashes += 1
                self._take(lambda text: _note(file, algorithm, text))
        elif at == ("pieces",):
            length = attributes.get("length", "")
            algorithm = algorithm_of(attributes.get("type", ""))
            file.hashes += bool(algorithm)
            file.pieces.append(PieceHashes(algorithm, length))
        elif at == ("pieces", "hash"):
            number, pieces = attributes.get("piece"), file.pieces[-1]
            self._take(lambda text: pieces.hashes.append((number, text)))
        elif at == ("url",):
            self._take(lambda text: _add_mirror(file, text, attributes))
        elif at == ("signature",):
            file.signed = True

    def _take(self, ended: Callable[[str], None]) -> None:
        self._text, self._length, self._ended = [], 0, ended

    def _characters(self, data: str) -> None:
        if self._text is not None:
            self._length += len(data)
            if self._length <= _MAX_TEXT:
                self._text.append(data)

    def _end(self, tag: str) -> None:
        if self._text is not None and self._ended is not None and self._file is not None:
            text, ended = "".join(self._text).strip(), self._ended
            self._text = self._ended = None
            try:
                if self._length > _MAX_TEXT:
                    raise Unusable(f"{self._path[-1]} is longer than {_MAX_TEXT} characters")
                ended(text)
            except Unusable as error:
                self._file.notes.add(error)
                self._file.lost |= self._path[-1] in ("hash", "size")
        self._path.pop()


def _no_dtd(*_: object) -> NoReturn:
    raise _MetalinkFlaw("contains a DTD or entities, which is not allowed")


def _set_size(file: _File, text: str) -> None:
    size = number(text, "size", MAX_SIZE)
    if file.size not in (None, size):
        file.flaw = "two different sizes"
    file.size = size


def _note(file: _File, algorithm: str, text: str) -> None:
    checksum = Checksum(algorithm, digest(algorithm, text), "metalink")
    if file.checksums.setdefault(algorithm, checksum) != checksum:
        file.flaw = f"two different {algorithm} hashes"


def _add_mirror(file: _File, url: str, attributes: dict[str, str]) -> None:
    try:
        parts = split_url(url)
        # Version 3 tells by a type of its own that a URL is one of a torrent.
        kind = attributes.get("type", "").lower() or parts.scheme
        usable = "@" not in parts.netloc and url.isprintable() and kind in REMOTE
    except ValueError:
        usable = False
    if not usable:
        file.others += 1
        return
    if len(file.mirrors) >= _MAX_MIRRORS:
        raise Unusable(f"URL after the first {_MAX_MIRRORS} of a file")
    location = attributes.get("location", "").lower()[:8]
    try:
        rank = priority(attributes)
    except Unusable as error:
        file.notes.add(error)
        rank = LOWEST_PRIORITY
    file.mirrors.append(Mirror(url, rank, location))


def _checked(file: _File) -> MetalinkFile:
    pieces: list[Pieces] = []
    for some in file.pieces:
        try:
            made = packed(some, file.size)
        except Unusable as error:
            file.notes.add(error)
            file.lost = True
        else:
            pieces += [made] if made is not None else []
    return MetalinkFile(
        name=file.name,
        size=file.size,
        checksums=tuple(file.checksums.values()),
        pieces=tuple(pieces),
        mirrors=tuple(sorted(file.mirrors, key=lambda mirror: mirror.priority)),
        others=file.others,
        signed=file.signed,
        notes=file.notes.all(),
        lost=file.lost and bool(file.hashes),
    )
