"""Split a file into fragments and describe it in a manifest, in one pass over the input.

original, tree        what is read: a file, or a folder packed into one
geometry, server_folders  how the file is cut, where the fragments go
passes, hash_process  the pass: read, hash, write; with parity row by row, the whole hashed apart
writer                temporary names, published together at the end
previous_split        what an earlier split left there

Memory: one piece a worker, or the strips of one row, whatever the size of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from regather.errors import UsageError
from regather.manifest import Manifest
from regather.model import FragmentIndex, Layout, ManifestSource
from regather.names import MANIFEST_SUFFIX, split_url, suffixed
from regather.splitter.geometry import default_fragments, fragment_sizes, layout_of
from regather.splitter.input_file import original_of
from regather.splitter.passes import OnBytes, copy
from regather.splitter.server_folders import Placement
from regather.splitter.writer import Writer, trouble
from regather.tasks import interrupts_held
from regather.units import counted

if TYPE_CHECKING:
    from regather.trust.secret_key import SecretKey


def split(
    path: str | Path,
    out: str | Path,
    *,
    fragments: int | None = None,
    chunk_size: int | None = None,
    parity: int = 0,
    set_size: int = 0,
    piece_size: int | None = None,
    servers: int | None = None,
    replicas: int = 1,
    survive: int | None = None,
    at: Sequence[str] = (),
    sha256: bool = False,
    force: bool = False,
    sync: bool = True,
    follow_links: bool = False,
    sign_with: SecretKey | None = None,
    on_progress: OnBytes | None = None,
) -> Manifest:
    """Split ``path`` into exact slices ``file_fragment_1.dat``, ... and write the manifest.

    - ``path``: a file, or a folder, which is split as one packed file (a tar). ``download``
      restores the folder.
    - ``fragments``: the number of data fragments of equal size (default: 3; with ``servers`` and
      ``parity`` one fragment per server, parity included).
    - ``chunk_size``: instead, the bytes of each fragment. The last one is shorter.
    - ``parity``: the number of parity fragments for every ``set_size`` consecutive data fragments
      (0: for all of them). The same number of lost fragments can then be computed.
    - ``piece_size``: the bytes that are verified together: a power of two from 64 KiB to 64 MiB.
    - ``servers``: creates one folder per server in ``out``. Every fragment is in ``replicas`` of
      them.
    - ``survive``: the number of servers that can fail (default: ``parity`` or ``replicas - 1``,
      whichever is larger). A placement that tolerates fewer is refused, unless ``force``.
    - ``at``: for each server, in order, the URL where its folder will be hosted.
    - ``sha256``: adds this hash of the whole file.
    - ``sign_with``: signs the manifest with this key.
    - ``follow_links``: splits the files that links in a folder point to.
    - ``force``: replaces an earlier split in ``out``, also in unused folders of servers.
    - ``sync``: waits for the disk. Without it a power failure can lose written files.
    - ``on_progress``: called with the number of bytes done and the total, from several threads,
      but one at a time.

    Raises UsageError, DestinationExistsError (unless ``force``) or StorageError. Then no new
    fragment or manifest is left. After a KeyboardInterrupt either none or all of them exist, and
    no thread continues.
    """
    path, out = Path(path), Path(out)
    with interrupts_held(), original_of(path, follow_links=follow_links) as source:
        source.check_outside(out)
        if fragments is None and chunk_size is None and servers and parity > 0:
            fragments = default_fragments(servers, parity, source.size)
        sizes = fragment_sizes(source.size, fragments, chunk_size)
        layout = layout_of(source.size, sizes, parity, set_size, piece_size)
        placement = Placement.plan(out, layout, servers, replicas, survive, force=force)
        if at and len(at) != len(placement.folders):
            raise UsageError(
                f"{counted(len(at), 'URL')} for {counted(len(placement.folders), 'server')}",
                help="give --at once for each server, in order",
            )
        sources = _sources(at, placement)
        manifest_name = suffixed(source.name, MANIFEST_SUFFIX)
        writer = Writer(path, out, layout, placement, manifest_name, force=force, sync=sync)
        try:
            hashes, blake3, digest = copy(source, layout, writer, sha256, on_progress)
            source.check_unchanged("split")
            manifest = replace(
                manifest_of(source.name, layout, hashes),
                folder=source.folder(),
                sources=sources,
                blake3=blake3,
                sha256=digest,
                survives=placement.survives,
            )
            # What we write must be what we read, before anyone relies on it.
            data = manifest.to_bytes()
            Manifest.from_bytes(data)
            writer.publish(data, _signature(data, manifest, sign_with))
        except OSError as error:
            raise trouble(out, error) from error
        finally:
            writer.discard()
    return manifest


def _signature(data: bytes, manifest: Manifest, key: SecretKey | None) -> bytes:
    """The signature of a manifest; empty without a key."""
    if key is None:
        return b""
    from regather.sources.signing import comment_on, signature_of

    return signature_of(data, comment_on(manifest), key)


def manifest_of(name: str, layout: Layout, hashes: Sequence[bytes]) -> Manifest:
    """The manifest of a file cut like this, made now; ``hashes`` are packed, by fragment."""
    return Manifest(
        name=name,
        size=layout.size,
        piece_size=layout.piece_size,
        fragments=tuple(
            msgspec.structs.replace(f, offset=f.offset if f.kind == "data" else 0, hashes=hashes[i])
            for i, f in enumerate(layout.fragments)
        ),
        created=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def _sources(at: Sequence[str], placement: Placement) -> tuple[ManifestSource, ...]:
    """What will be hosted where. Raises UsageError: before the pass, not when all is written."""
    held: list[set[FragmentIndex]] = [set() for _ in placement.folders]
    for position, folders in enumerate(placement.copies):
        for folder in folders:
            held[folder].add(FragmentIndex(position + 1))
    urls = [url if url.endswith("/") else url + "/" for url in map(_checked, at)]
    if len(set(urls)) < len(urls):
        twice = next(url for url in urls if urls.count(url) > 1)
        raise UsageError(f"{twice}: is given twice", help="give each server its own URL")
    return tuple(ManifestSource(url, frozenset(held[i])) for i, url in enumerate(urls))


def _checked(url: str) -> str:
    try:
        parts = split_url(url)
    except ValueError as error:
        raise UsageError(f"--at: {error}", help="give the URL where the folder will be") from None
    if "@" in parts.netloc or parts.query or parts.fragment or not url.isprintable():
        raise UsageError(  # it may hold a secret, so it is not shown
            f"--at: not a plain base URL: {parts.hostname}",
            help="remove user names, passwords, queries and #",
        )
    return url
