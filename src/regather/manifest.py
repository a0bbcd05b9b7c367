"""The manifest: bytes to Manifest and back, with strict validation and no I/O.

``docs/format.md`` describes version 1. A manifest is untrusted input: every number is bounded,
every name is a plain file name, and nothing is allocated that is not already as large as the
manifest itself. Unknown keys are ignored, an unknown version is refused.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

import msgspec

from regather.digest import HASH_SIZE, file_identity
from regather.errors import ManifestError
from regather.folder.document import FolderFlaw, folder_bytes, folder_of
from regather.folder.values import Folder
from regather.jsontext import Reader
from regather.model import MAX_PIECE_SIZE, MAX_SET, Fragment, Layout, Source
from regather.names import flaw_of, split_url, suffixed
from regather.units import MAX_SIZE

VERSION = 1
MAX_MANIFEST_BYTES = 64 << 20
"""No manifest may be larger than this; 1 TiB needs about 12 MiB."""
MAX_METADATA_BYTES = 64 << 10
CODE = "reed-solomon-gf256-11d-vandermonde"
"""The erasure code of parity fragments; ``docs/format.md`` defines it."""

_Bytes = Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE)]
_Index = Annotated[int, msgspec.Meta(ge=0, le=2**32)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class _Head(msgspec.Struct):
    format: str
    version: int


class _Fragment(msgspec.Struct, omit_defaults=True):
    index: _Index
    name: _Name
    size: _Bytes
    hashes: str
    offset: _Bytes = 0
    kind: Literal["data", "parity"] = "data"
    set: _Index = 0


class _Source(msgspec.Struct, omit_defaults=True):
    url: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    fragments: list[_Index] | None = None


class _Erasure(msgspec.Struct):
    code: Annotated[str, msgspec.Meta(max_length=64)]


class _Document(msgspec.Struct, omit_defaults=True):
    format: str
    version: int
    name: _Name
    size: _Bytes
    piece_size: Annotated[int, msgspec.Meta(ge=1024, le=MAX_PIECE_SIZE)]
    digest: _Hex
    fragments: Annotated[list[_Fragment], msgspec.Meta(min_length=1)]
    blake3: _Hex | None = None
    sha256: _Hex | None = None
    erasure: _Erasure | None = None
    sources: list[_Source] = msgspec.field(default_factory=list)
    created: Annotated[str, msgspec.Meta(max_length=64)] = ""
    metadata: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))
    folder: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_read_head = Reader(_Head)
_read_document = Reader(_Document)


@dataclass(frozen=True, slots=True)
class Manifest:
    """Describes one file, or a folder: geometry, hashes, and where its fragments are hosted.

    A folder is hosted as one packed file, which is what size, pieces and fragments are of.
    """

    name: str
    size: int
    piece_size: int
    fragments: tuple[Fragment, ...]
    sources: tuple[Source, ...] = ()
    blake3: str = ""
    """BLAKE3 of the whole file in hexadecimal, as ``b3sum`` prints it, or empty."""
    sha256: str = ""
    created: str = ""
    """When it was made, ISO 8601 in UTC, or empty."""
    metadata: dict[str, Any] = field(default_factory=dict)
    folder: Folder | None = None
    """What the file holds, where it is a packed folder."""

    @property
    def layout(self) -> Layout:
        """The geometry: data fragments in order, then parity, each behind the end of the file."""
        data = [f for f in self.fragments if f.kind == "data"]
        end = self.size
        parity = []
        for fragment in self.fragments:
            if fragment.kind == "parity":
                parity.append(replace(fragment, offset=end))
                end += fragment.size
        return Layout(self.size, self.piece_size, (*data, *parity))

    @property
    def digest(self) -> str:
        """The identity, in hexadecimal: pins content, size and geometry, and a folder's entries."""
        content = self.content_digest
        return content if self.folder is None else self.folder.identity(content)

    @property
    def content_digest(self) -> str:
        """The identity of the file as it is hosted, in hexadecimal: of a folder, the packed one."""
        hashes = (f.hashes for f in self.fragments if f.kind == "data")
        return file_identity(self.size, self.piece_size, hashes).hex()

    @property
    def file_name(self) -> str:
        """What the file is called that is hosted: a packed folder is a tar."""
        return self.name if self.folder is None else suffixed(self.name, ".tar")

    def to_bytes(self) -> bytes:
        """Write it as JSON, UTF-8, ending in a newline."""
        document = _Document(
            format="regather",
            version=VERSION,
            name=self.name,
            size=self.size,
            piece_size=self.piece_size,
            digest=self.content_digest,
            fragments=[
                _Fragment(
                    index=f.index,
                    name=f.name,
                    size=f.size,
                    hashes=b64encode(f.hashes).decode(),
                    offset=f.offset,
                    kind=f.kind,
                    set=f.set,
                )
                for f in self.fragments
            ],
            blake3=self.blake3 or None,
            sha256=self.sha256 or None,
            erasure=_Erasure(CODE) if any(f.kind == "parity" for f in self.fragments) else None,
            sources=[
                _Source(s.url, None if s.fragments is None else sorted(s.fragments))
                for s in self.sources
            ],
            created=self.created,
            metadata=msgspec.Raw(msgspec.json.encode(self.metadata)),
        )
        data = msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"
        if self.folder is None:
            return data
        return data[: data.rindex(b"\n}")] + folder_bytes(self.folder, self.digest)

    @classmethod
    def from_bytes(cls, data: bytes, where: str = "manifest") -> Manifest:
        """Read and validate; ``where`` names the manifest in messages. Raises ManifestError."""
        try:
            return _checked(_decoded(data))
        except _Flaw as flaw:
            raise ManifestError(f"{where}: {flaw}", help=flaw.help) from None


class _Flaw(Exception):
    """What is wrong with a manifest, told with the path of the value."""

    def __init__(self, what: str, help: str = "fetch or make the manifest again") -> None:
        super().__init__(what)
        self.help = help


def _decoded(data: bytes) -> _Document:
    if len(data) > MAX_MANIFEST_BYTES:
        raise _Flaw(f"larger than {MAX_MANIFEST_BYTES >> 20} MiB: not a manifest")
    try:
        head = _read_head(data)
    except msgspec.ValidationError as error:
        raise _Flaw(f"not a regather manifest ({error})") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = "empty" if not data.strip() else str(error)
        raise _Flaw(f"not JSON, or cut short ({detail})") from None
    if head.format != "regather":
        raise _Flaw(f"not a regather manifest (format is {head.format[:40]!r})")
    if head.version != VERSION:
        raise _Flaw(
            f"manifest version {head.version} is not known here, only version {VERSION}",
            "install a newer regather",
        )
    try:
        return _read_document(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _Flaw(str(error)) from None


def _checked(document: _Document) -> Manifest:
    if document.piece_size & (document.piece_size - 1):
        raise _Flaw(f"piece_size {document.piece_size} is not a power of two")
    if flaw := flaw_of(document.name):
        raise _Flaw(f"name {document.name[:60]!r} {flaw}")
    fragments = tuple(
        _fragment(raw, f"fragments[{i}]", document.piece_size)
        for i, raw in enumerate(document.fragments)
    )
    _check_coverage(document, fragments)
    _check_sets(document, fragments)
    known = {f.index for f in fragments}
    manifest = Manifest(
        name=document.name,
        size=document.size,
        piece_size=document.piece_size,
        fragments=fragments,
        sources=_merged(
            _source(raw, f"sources[{i}]", known) for i, raw in enumerate(document.sources)
        ),
        blake3=document.blake3 or "",
        sha256=document.sha256 or "",
        created=document.created,
        metadata=_metadata(document.metadata),
    )
    if manifest.content_digest != document.digest:
        raise _Flaw("digest does not fit the piece hashes: the manifest was altered or damaged")
    if document.folder is msgspec.UNSET:
        return manifest
    try:
        return replace(manifest, folder=folder_of(document.folder, document.digest, document.size))
    except FolderFlaw as flaw:
        raise _Flaw(str(flaw)) from None


def _metadata(raw: msgspec.Raw) -> dict[str, Any]:
    # Nested values take many times their text in memory, so there must not be much of it.
    if len(bytes(raw)) > MAX_METADATA_BYTES:
        raise _Flaw(f"metadata is larger than {MAX_METADATA_BYTES >> 10} KiB")
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise _Flaw(f"{error} - at `$.metadata`") from None


def _fragment(raw: _Fragment, path: str, piece_size: int) -> Fragment:
    if flaw := flaw_of(raw.name):
        raise _Flaw(f"{path}.name {raw.name[:60]!r} {flaw}")
    try:
        hashes = b64decode(raw.hashes, validate=True)
    except (binascii.Error, ValueError):
        raise _Flaw(f"{path}.hashes is not base64") from None
    pieces = -(-raw.size // piece_size)
    if len(hashes) != pieces * HASH_SIZE:
        raise _Flaw(
            f"{path}.hashes holds {len(hashes)} bytes, {raw.size} bytes of fragment need "
            f"{pieces * HASH_SIZE}"
        )
    return Fragment(raw.index, raw.name, raw.offset, raw.size, hashes, raw.kind, raw.set)


def _check_coverage(document: _Document, fragments: tuple[Fragment, ...]) -> None:
    names: set[str] = set()
    indexes: set[int] = set()
    end = 0
    for i, fragment in enumerate(fragments):
        if fragment.name in names:
            raise _Flaw(f"fragments[{i}].name {fragment.name[:60]!r} stands twice")
        names.add(fragment.name)
        if fragment.index in indexes:
            raise _Flaw(f"fragments[{i}].index {fragment.index} stands twice")
        indexes.add(fragment.index)
        if fragment.kind != "data":
            continue
        if fragment.offset != end:
            verb = "overlaps the one before" if fragment.offset < end else "leaves a gap"
            raise _Flaw(
                f"fragments[{i}].offset is {fragment.offset}, must be {end}: fragment "
                f"{fragment.index} {verb}"
            )
        end += fragment.size
    if end != document.size:
        raise _Flaw(f"size is {document.size}, but the fragments make up {end} bytes")


def _check_sets(document: _Document, fragments: tuple[Fragment, ...]) -> None:
    """Erasure sets: consecutive data fragments, and parity as long as the longest of them."""
    if not any(f.set or f.kind == "parity" for f in fragments):
        return
    if document.erasure is None or document.erasure.code != CODE:
        code = document.erasure.code if document.erasure else "missing"
        raise _Flaw(f"erasure.code is {code!r}, known here is {CODE!r}", "install a newer regather")
    longest: dict[int, int] = {}
    count: dict[int, int] = {}
    before = 0
    for i, fragment in enumerate(fragments):
        number = fragment.set
        count[number] = count.get(number, 0) + 1
        if fragment.kind == "data":
            if number and number != before and number in longest:
                raise _Flaw(f"fragments[{i}].set {number}: its fragments do not stand together")
            longest[number] = max(longest.get(number, 0), fragment.size)
            before = number
    coded = {f.set for f in fragments if f.kind == "parity"}
    for i, fragment in enumerate(fragments):
        number = fragment.set
        if number and count[number] > MAX_SET:
            raise _Flaw(f"fragments[{i}].set {number} has more than {MAX_SET} fragments")
        if number and number not in coded:
            raise _Flaw(f"fragments[{i}].set {number} has no parity")
        if fragment.kind == "parity" and (not number or fragment.size != longest.get(number)):
            raise _Flaw(
                f"fragments[{i}].size is {fragment.size}: parity must be as long as the longest "
                f"data fragment of its set"
            )


def _source(raw: _Source, path: str, known: set[int]) -> Source:
    try:
        url = split_url(raw.url)
    except ValueError as error:
        raise _Flaw(f"{path}.url: {error}") from None
    if "@" in url.netloc or url.query or url.fragment or not raw.url.isprintable():
        raise _Flaw(f"{path}.url must be a plain base URL: no credentials, query or fragment")
    if raw.fragments is not None and (unknown := set(raw.fragments) - known):
        raise _Flaw(f"{path}.fragments names fragment {min(unknown)}, which does not exist")
    base = raw.url if raw.url.endswith("/") else raw.url + "/"
    return Source(base, None if raw.fragments is None else frozenset(raw.fragments))


def _merged(sources: Iterable[Source]) -> tuple[Source, ...]:
    """Sources that stand twice have what they hold according to both."""
    held: dict[str, Source] = {}
    for source in sources:
        before = held.setdefault(source.url, source)
        if before.fragments is None or source.fragments is None:
            held[source.url] = Source(source.url)
        else:
            held[source.url] = replace(source, fragments=before.fragments | source.fragments)
    return tuple(held.values())
