"""A manifest as a Metalink, for the clients of others.

A manifest has BLAKE3 hashes, of pieces that begin anew in every fragment; other clients want
SHA-256, and pieces of what they download. So the bytes are read once, from the file or from where
the fragments are, held against the manifest, and hashed anew.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from regather.checksum import Checksum
from regather.digest import Hasher, new_hasher, piece_hash
from regather.errors import UsageError, VerificationError, reason
from regather.manifest import Manifest
from regather.metalink.values import MetalinkFile, Mirror, Pieces
from regather.metalink.write import write_metalink
from regather.model import Layout, Source
from regather.names import texts
from regather.reading.file import RemoteFile
from regather.reading.opening import asking_for
from regather.reading.recipe import Recipe
from regather.sources.addresses import address_of, base_urls
from regather.sources.manifests import load_manifest, sources_of, target_of
from regather.sources.settings import Settings
from regather.transport import is_url, locate
from regather.units import counted

ALGORITHM = "sha256"
OnBytes = Callable[[int, int], None]
Piece = tuple[int, memoryview]
"""The position of a fragment, and the bytes of its next piece."""


def export_metalink(
    manifest: str | Path,
    *,
    mirrors: Sequence[str] = (),
    servers: Sequence[str | Path] = (),
    file: str | Path | None = None,
    fragments: bool = False,
    settings: Settings | None = None,
    on_progress: OnBytes | None = None,
) -> bytes:
    """Describe the file of a manifest as a Metalink 4, with SHA-256 hashes of file and pieces.

    - ``mirrors``: URLs of the whole file. If a URL ends in a slash, the name is added.
    - ``fragments``: each data fragment becomes a separate file, with the URLs of all its replicas
      from the manifest and ``servers``. Without ``mirrors`` this is the default. Concatenated in
      order the fragments are the file.
    - ``file``: the local file to read. Without it, the data is read from the fragments.
    - ``on_progress``: called with the number of bytes done and the total.

    Raises UsageError if nothing could be downloaded with the result, VerificationError if ``file``
    differs or only wrong data is available, NotEnoughSourcesError, ManifestError, TransportError
    or InterruptedDownload.
    """
    settings = settings or Settings()
    bases = base_urls(texts(servers))
    source = address_of(str(manifest))
    asking = asking_for(settings)
    loaded = load_manifest(source, asking)
    read = loaded.manifest
    layout = read.layout
    sources = sources_of(source, loaded, bases)
    urls = _whole_urls(read, mirrors, sources)
    by_fragment = fragments or not urls
    if by_fragment:
        _check_urls(layout, sources)
    if file is not None:
        pieces = _from_file(Path(file), layout)
    else:
        for url in bases:
            asking.check(url)
        recipe = Recipe(target_of(source, loaded, sources), settings)
        pieces = _from_sources(RemoteFile(recipe), layout)
    whole = _HashedFile(layout.piece_size)
    parts = [_HashedFile(layout.piece_size) for _ in range(layout.data_count)]
    done = 0
    for fragment, view in pieces:
        (parts[fragment] if by_fragment else whole).update(view)
        done += len(view)
        if on_progress is not None:
            on_progress(done, layout.size)
    if not by_fragment:
        return write_metalink([whole.file(read.file_name, read.size, urls)], read.created)
    files = [
        part.file(fragment.name, fragment.size, _fragment_urls(position, layout, sources))
        for position, (part, fragment) in enumerate(zip(parts, layout.fragments, strict=False))
    ]
    return write_metalink(files, read.created)


class _HashedFile:
    """Hashes of a file and of its pieces, from its bytes in order."""

    def __init__(self, piece_size: int) -> None:
        self._piece_size = piece_size
        self._whole = new_hasher(ALGORITHM)
        self._pieces: list[bytes] = []
        self._piece: Hasher = new_hasher(ALGORITHM)
        self._room = piece_size

    def update(self, data: memoryview) -> None:
        """Take in more bytes."""
        self._whole.update(data)
        while data:
            part, data = data[: self._room], data[self._room :]
            self._piece.update(part)
            self._room -= len(part)
            if not self._room:
                self._end_piece()

    def _end_piece(self) -> None:
        self._pieces.append(self._piece.digest())
        self._piece, self._room = new_hasher(ALGORITHM), self._piece_size

    def file(self, name: str, size: int, urls: Sequence[str]) -> MetalinkFile:
        """What the metalink says; call it once, at the end."""
        if self._room < self._piece_size:
            self._end_piece()
        pieces = (Pieces(ALGORITHM, self._piece_size, b"".join(self._pieces)),) if size else ()
        return MetalinkFile(
            name,
            size,
            (Checksum(ALGORITHM, self._whole.digest()),),
            pieces,
            tuple(Mirror(url, priority) for priority, url in enumerate(urls, 1)),
        )


# -- where it is hosted -----------------------------------------------------------------------


def _whole_urls(manifest: Manifest, mirrors: Sequence[str], sources: Sequence[Source]) -> list[str]:
    """Where the whole file is: mirrors, and the fragment itself where there is only one."""
    urls = []
    for mirror in mirrors:
        address = address_of(mirror)
        if not address.remote:
            raise UsageError(f"{mirror}: not a URL", help="give the URL of the whole file")
        url = address.text
        urls.append(
            locate(url if url.endswith("/") else url + "/", manifest.file_name)
            if address.is_base
            else url
        )
    layout = manifest.layout
    if layout.data_count == 1:
        urls += _fragment_urls(0, layout, sources)
    return list(dict.fromkeys(urls))


def _fragment_urls(fragment: int, layout: Layout, sources: Sequence[Source]) -> list[str]:
    name = layout.fragments[fragment].name
    return [
        locate(source.url, name)
        for source in sources
        if is_url(source.url) and (source.fragments is None or fragment in source.fragments)
    ]


def _check_urls(layout: Layout, sources: Sequence[Source]) -> None:
    for fragment in range(layout.data_count):
        if not _fragment_urls(fragment, layout, sources):
            raise UsageError(
                f"no URL is known for {layout.fragments[fragment].name}",
                help="give the URL of the whole file (--mirror URL) or of the fragments "
                "(--server URL)",
            )


# -- reading ----------------------------------------------------------------------------------


def _from_file(path: Path, layout: Layout) -> Iterator[Piece]:
    """All pieces of the file, held against the manifest."""

    def differs(how: str) -> VerificationError:
        return VerificationError(
            f"{path}: does not match the manifest: {how}", help="give the file that was split"
        )

    buffer = memoryview(bytearray(max(layout.largest_piece, 1)))
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size != layout.size:
                raise differs(f"it has {counted(size, 'byte')}, not {layout.size}")
            for number in range(layout.data_pieces):
                fragment, piece = layout.locate(number)
                view = buffer[: layout.length(fragment, piece)]
                whole = file.readinto(view) == len(view)
                if not whole or piece_hash(view) != layout.hash_of(fragment, piece):
                    raise differs(f"piece {piece} of {layout.fragments[fragment].name}")
                yield fragment, view
    except OSError as error:
        raise UsageError(f"{path}: {reason(error).lower()}") from None


def _from_sources(file: RemoteFile, layout: Layout) -> Iterator[Piece]:
    """All pieces of the file, each verified, from where it is hosted, or from parity."""
    buffer = memoryview(bytearray(max(layout.largest_piece, 1)))
    with file:
        for number in range(layout.data_pieces):
            fragment, piece = layout.locate(number)
            view = buffer[: layout.length(fragment, piece)]
            have = 0
            while have < len(view):
                have += file.readinto(view[have:])
            yield fragment, view
