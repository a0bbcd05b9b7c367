"""The JSON of a manifest: its shape, bounds on every number, and how it is decoded.

What is inside may contradict itself still: see ``checks``.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from regather.jsontext import JsonDecoder
from regather.model import MAX_PIECE_SIZE, FragmentIndex
from regather.units import MAX_SIZE

VERSION = 1
MAX_MANIFEST_BYTES = 64 << 20
"""No manifest may be larger than this; 1 TiB needs about 12 MiB."""

_Bytes = Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE)]
_Number = Annotated[int, msgspec.Meta(ge=0, le=2**32)]
_Index = Annotated[FragmentIndex, msgspec.Meta(ge=0, le=2**32)]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
_Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class _VersionOnly(msgspec.Struct):
    format: str
    version: int


class FragmentText(msgspec.Struct, omit_defaults=True):
    """A fragment as it is written."""

    index: _Index
    name: _Name
    size: _Bytes
    hashes: str
    offset: _Bytes = 0
    kind: Literal["data", "parity"] = "data"
    set: _Number = 0


class SourceText(msgspec.Struct, omit_defaults=True):
    """A source as it is written."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=4096)]
    fragments: list[_Index] | None = None


class ErasureText(msgspec.Struct):
    """What is said of all parity."""

    code: Annotated[str, msgspec.Meta(max_length=64)]


class ManifestDocument(msgspec.Struct, omit_defaults=True):
    """A manifest as it is written."""

    format: str
    version: int
    name: _Name
    size: _Bytes
    piece_size: Annotated[int, msgspec.Meta(ge=1024, le=MAX_PIECE_SIZE)]
    digest: _Hex
    fragments: Annotated[list[FragmentText], msgspec.Meta(min_length=1)]
    blake3: _Hex | None = None
    sha256: _Hex | None = None
    erasure: ErasureText | None = None
    sources: list[SourceText] = msgspec.field(default_factory=list)
    created: Annotated[str, msgspec.Meta(max_length=64)] = ""
    metadata: msgspec.Raw = msgspec.field(default_factory=lambda: msgspec.Raw(b"{}"))
    survives: Annotated[int, msgspec.Meta(ge=0, le=2**32)] = 0
    folder: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


_read_head = JsonDecoder(_VersionOnly)
_read_document = JsonDecoder(ManifestDocument)


class ManifestFlaw(Exception):
    """What is wrong with a manifest, told with the path of the value."""

    def __init__(self, what: str, help: str = "download or create the manifest again") -> None:
        super().__init__(what)
        self.help = help


def decoded(data: bytes) -> ManifestDocument:
    """Read the JSON; raises Flaw."""
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestFlaw(f"larger than {MAX_MANIFEST_BYTES >> 20} MiB: not a manifest")
    try:
        head = _read_head(data)
    except msgspec.ValidationError as error:
        raise ManifestFlaw(f"not a regather manifest ({error})") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = "empty" if not data.strip() else str(error)
        raise ManifestFlaw(f"not JSON, or truncated ({detail})") from None
    if head.format != "regather":
        raise ManifestFlaw(f"not a regather manifest (format is {head.format[:40]!r})")
    if head.version != VERSION:
        raise ManifestFlaw(
            f"manifest version {head.version} is not supported, only version {VERSION}",
            "install a newer regather",
        )
    try:
        return _read_document(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ManifestFlaw(str(error)) from None
