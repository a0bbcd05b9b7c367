"""A manifest as a value, and how it is made of bytes and becomes bytes."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import msgspec
from msgspec import Struct, field
from msgspec.structs import replace

from regather.digest import file_identity
from regather.errors import ManifestError
from regather.folder.document import FolderFlaw, folder_bytes, folder_of
from regather.folder.values import Folder
from regather.manifest.checks import CODE, fragments_of, metadata_of, sources_of
from regather.manifest.document import (
    VERSION,
    ErasureText,
    FragmentText,
    ManifestDocument,
    ManifestFlaw,
    SourceText,
    decoded,
)
from regather.model import Fragment, Layout, ManifestSource
from regather.names import suffixed


class Manifest(Struct, frozen=True):
    """Describes one file or folder: geometry, hashes and sources.

    A folder is hosted as one packed file: size, pieces and fragments are those of this file.
    """

    name: str
    size: int
    piece_size: int
    fragments: tuple[Fragment, ...]
    sources: tuple[ManifestSource, ...] = ()
    blake3: str = ""
    """BLAKE3 of the whole file in hexadecimal, as ``b3sum`` prints it, or empty."""
    sha256: str = ""
    created: str = ""
    """The time of creation, ISO 8601 in UTC, or empty."""
    metadata: dict[str, Any] = field(default_factory=dict)
    survives: int = 0
    """The number of failed sources that it was made to survive; 0 also if unknown."""
    folder: Folder | None = None
    """The entries of a packed folder."""

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
        document = ManifestDocument(
            format="regather",
            version=VERSION,
            name=self.name,
            size=self.size,
            piece_size=self.piece_size,
            digest=self.content_digest,
            fragments=[
                FragmentText(
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
            erasure=ErasureText(CODE) if any(f.kind == "parity" for f in self.fragments) else None,
            sources=[
                SourceText(s.url, None if s.fragments is None else sorted(s.fragments))
                for s in self.sources
            ],
            created=self.created,
            survives=self.survives,
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
            return _made(decoded(data))
        except ManifestFlaw as flaw:
            raise ManifestError(f"{where}: {flaw}", help=flaw.help) from None


def _made(document: ManifestDocument) -> Manifest:
    manifest = Manifest(
        name=document.name,
        size=document.size,
        piece_size=document.piece_size,
        fragments=fragments_of(document),
        sources=sources_of(document),
        blake3=document.blake3 or "",
        sha256=document.sha256 or "",
        created=document.created,
        survives=document.survives,
        metadata=metadata_of(document.metadata),
    )
    if manifest.content_digest != document.digest:
        raise ManifestFlaw(
            "digest does not match the piece hashes: the manifest was modified or damaged"
        )
    if document.folder is msgspec.UNSET:
        return manifest
    try:
        return replace(manifest, folder=folder_of(document.folder, document.digest, document.size))
    except FolderFlaw as flaw:
        raise ManifestFlaw(str(flaw)) from None
