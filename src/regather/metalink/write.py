"""Metalinks written: version 4 (RFC 5854)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from regather._version import __version__
from regather.hashes import HASH_SIZES
from regather.metalink.values import MetalinkFile

_NAMES = {"sha1": "sha-1", **{f"sha{n}": f"sha-{n}" for n in (224, 256, 384, 512)}}
"""How hashes are called in the IANA registry that RFC 5854 points to."""


def write_metalink(files: Sequence[MetalinkFile], published: str = "") -> bytes:
    """The document, in UTF-8; ``published`` is a time in RFC 3339 form, or empty."""
    return ("\n".join(_lines(files, published)) + "\n").encode()


def _lines(files: Sequence[MetalinkFile], published: str) -> Iterator[str]:
    # Imports urllib.request and http.client, 6 % of what the start of a download takes.
    from xml.sax.saxutils import escape, quoteattr

    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<metalink xmlns="urn:ietf:params:xml:ns:metalink">'
    yield f"  <generator>regather/{__version__}</generator>"
    if published:
        yield f"  <published>{escape(published)}</published>"
    for file in files:
        yield f"  <file name={quoteattr(file.name)}>"
        if file.size is not None:
            yield f"    <size>{file.size}</size>"
        for checksum in file.checksums:
            name = _NAMES.get(checksum.algorithm, checksum.algorithm)
            yield f'    <hash type="{name}">{checksum.digest.hex()}</hash>'
        for pieces in file.pieces:
            name = _NAMES.get(pieces.algorithm, pieces.algorithm)
            yield f'    <pieces length="{pieces.length}" type="{name}">'
            step = HASH_SIZES[pieces.algorithm]
            for at in range(0, len(pieces.hashes), step):
                yield f"      <hash>{pieces.hashes[at : at + step].hex()}</hash>"
            yield "    </pieces>"
        for mirror in file.mirrors:
            place = f" location={quoteattr(mirror.location)}" if mirror.location else ""
            yield f'    <url priority="{mirror.priority}"{place}>{escape(mirror.url)}</url>'
        yield "  </file>"
    yield "</metalink>"
