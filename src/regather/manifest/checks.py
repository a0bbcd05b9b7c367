"""What of a manifest must fit together: names, hashes, what the fragments cover, erasure sets."""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any

import msgspec

from regather.hashes import HASH_SIZE
from regather.manifest.document import FragmentText, ManifestDocument, ManifestFlaw, SourceText
from regather.model import MAX_SET, Fragment, FragmentIndex, ManifestSource
from regather.names import flaw_of, split_url
from regather.units import counted

MAX_METADATA_BYTES = 64 << 10
CODE = "reed-solomon-gf256-11d-vandermonde"
"""The erasure code of parity fragments; ``docs/format.md`` defines it."""


def fragments_of(document: ManifestDocument) -> tuple[Fragment, ...]:
    """The fragments, which make up the file; raises Flaw."""
    if document.piece_size & (document.piece_size - 1):
        raise ManifestFlaw(f"piece_size {document.piece_size} is not a power of two")
    if flaw := flaw_of(document.name):
        raise ManifestFlaw(f"name {document.name[:60]!r} {flaw}")
    fragments = tuple(
        _fragment(raw, f"fragments[{i}]", document.piece_size)
        for i, raw in enumerate(document.fragments)
    )
    _check_coverage(document, fragments)
    _check_sets(document, fragments)
    return fragments


def sources_of(document: ManifestDocument) -> tuple[ManifestSource, ...]:
    """The sources, of fragments that exist; raises Flaw.

    One that stands twice has what it holds according to both.
    """
    known = {f.index for f in document.fragments}
    held: dict[str, set[FragmentIndex] | None] = {}
    for number, raw in enumerate(document.sources):
        source = _source(raw, f"sources[{number}]", known)
        before = held.setdefault(source.url, set())
        if before is None or source.fragments is None:
            held[source.url] = None
        else:
            before |= source.fragments  # in place: a hostile manifest names one a thousand times
    return tuple(
        ManifestSource(u, None if have is None else frozenset(have)) for u, have in held.items()
    )


def metadata_of(raw: msgspec.Raw) -> dict[str, Any]:
    """What the user added; raises Flaw."""
    # Nested values take many times their text in memory, so there must not be much of it.
    if len(bytes(raw)) > MAX_METADATA_BYTES:
        raise ManifestFlaw(f"metadata is larger than {MAX_METADATA_BYTES >> 10} KiB")
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise ManifestFlaw(f"{error} - at `$.metadata`") from None


def _fragment(raw: FragmentText, path: str, piece_size: int) -> Fragment:
    if flaw := flaw_of(raw.name):
        raise ManifestFlaw(f"{path}.name {raw.name[:60]!r} {flaw}")
    try:
        hashes = b64decode(raw.hashes, validate=True)
    except (binascii.Error, ValueError):
        raise ManifestFlaw(f"{path}.hashes is not base64") from None
    pieces = -(-raw.size // piece_size)
    if len(hashes) != pieces * HASH_SIZE:
        raise ManifestFlaw(
            f"{path}.hashes holds {counted(len(hashes), 'byte')}, not the {pieces * HASH_SIZE} of "
            f"a fragment of {counted(raw.size, 'byte')}"
        )
    return Fragment(raw.index, raw.name, raw.offset, raw.size, hashes, raw.kind, raw.set)


def _check_coverage(document: ManifestDocument, fragments: tuple[Fragment, ...]) -> None:
    names: set[str] = set()
    indexes: set[int] = set()
    end = 0
    for i, fragment in enumerate(fragments):
        if fragment.name in names:
            raise ManifestFlaw(f"fragments[{i}].name {fragment.name[:60]!r} is listed twice")
        names.add(fragment.name)
        if fragment.index in indexes:
            raise ManifestFlaw(f"fragments[{i}].index {fragment.index} is listed twice")
        indexes.add(fragment.index)
        if fragment.kind != "data":
            continue
        if fragment.offset != end:
            verb = "overlaps the previous one" if fragment.offset < end else "leaves a gap"
            raise ManifestFlaw(
                f"fragments[{i}].offset is {fragment.offset}, must be {end}: fragment "
                f"{fragment.index} {verb}"
            )
        end += fragment.size
    if end != document.size:
        raise ManifestFlaw(
            f"size is {document.size}, but the sum of the fragments is {counted(end, 'byte')}"
        )


def _check_sets(document: ManifestDocument, fragments: tuple[Fragment, ...]) -> None:
    """Erasure sets: consecutive data fragments, and parity as long as the longest of them."""
    if not any(f.set or f.kind == "parity" for f in fragments):
        return
    if document.erasure is None or document.erasure.code != CODE:
        code = document.erasure.code if document.erasure else "missing"
        raise ManifestFlaw(
            f"erasure.code is {code!r}, supported is {CODE!r}", "install a newer regather"
        )
    longest: dict[int, int] = {}
    count: dict[int, int] = {}
    before = 0
    for i, fragment in enumerate(fragments):
        number = fragment.set
        count[number] = count.get(number, 0) + 1
        if fragment.kind == "data":
            if number and number != before and number in longest:
                raise ManifestFlaw(
                    f"fragments[{i}].set {number}: its fragments are not consecutive"
                )
            longest[number] = max(longest.get(number, 0), fragment.size)
            before = number
    coded = {f.set for f in fragments if f.kind == "parity"}
    for i, fragment in enumerate(fragments):
        number = fragment.set
        if number and count[number] > MAX_SET:
            raise ManifestFlaw(f"fragments[{i}].set {number} has more than {MAX_SET} fragments")
        if number and number not in coded:
            raise ManifestFlaw(f"fragments[{i}].set {number} has no parity")
        if fragment.kind == "parity" and (not number or fragment.size != longest.get(number)):
            raise ManifestFlaw(
                f"fragments[{i}].size is {fragment.size}: a parity fragment must have the size "
                "of the longest data fragment of its set"
            )


def _source(raw: SourceText, path: str, known: set[FragmentIndex]) -> ManifestSource:
    try:
        url = split_url(raw.url)
    except ValueError as error:
        raise ManifestFlaw(f"{path}.url: {error}") from None
    if "@" in url.netloc or url.query or url.fragment or not raw.url.isprintable():
        raise ManifestFlaw(
            f"{path}.url must be a plain base URL: no credentials, query or fragment"
        )
    if raw.fragments is not None and (unknown := set(raw.fragments) - known):
        raise ManifestFlaw(f"{path}.fragments names fragment {min(unknown)}, which does not exist")
    base = raw.url if raw.url.endswith("/") else raw.url + "/"
    return ManifestSource(base, None if raw.fragments is None else frozenset(raw.fragments))
