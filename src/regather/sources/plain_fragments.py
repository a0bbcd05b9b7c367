"""Plain fragments, given in order, without a manifest: nothing is known to verify them with."""

from __future__ import annotations

import os
from collections.abc import Sequence

from regather.digest import piece_hash
from regather.errors import NotEnoughSourcesError, UsageError
from regather.model import (
    Fragment,
    FragmentIndex,
    FragmentPosition,
    Layout,
    Source,
    piece_size_for,
)
from regather.sources.addresses import address_of
from regather.sources.download_target import DownloadTarget
from regather.sources.probing import Prober
from regather.transport import RequestFailed
from regather.units import MAX_SIZE, counted

DEFAULT_NAME = "recombined_large_file.dat"
"""What a list of plain fragments is recombined to."""


def resolve_fragments(fragments: Sequence[str], asking: Prober) -> DownloadTarget:
    """Make a layout of plain fragments, given in order; asks each for its size.

    Nothing is known to verify with. Raises NotEnoughSourcesError naming those that cannot be had.
    """
    urls = [address_of(text).text for text in fragments]
    answers = asking.all(urls, lambda connection, url: connection.probe(url))
    failed = {u: a for u, a in zip(urls, answers, strict=True) if isinstance(a, RequestFailed)}
    if failed:
        why = [error.what for error in failed.values()]
        raise NotEnoughSourcesError(
            f"cannot get {len(failed)} of {counted(len(urls), 'fragment')}: {why[0]}",
            details=tuple(why[1:]),
            missing=tuple(failed),
            help="check the addresses and the servers, then run the same command again",
        )
    return _plain_target(urls, [a for a in answers if not isinstance(a, RequestFailed)])


def _plain_target(urls: Sequence[str], probed: Sequence[tuple[int, str]]) -> DownloadTarget:
    size = sum(length for length, _ in probed)
    if size > MAX_SIZE:
        raise UsageError(f"the servers report {size} bytes in all", help="check their servers")
    layout_fragments: list[Fragment] = []
    sources: list[Source] = []
    offset = 0
    for position, (url, (length, validator)) in enumerate(zip(urls, probed, strict=True)):
        name = url.rpartition("/")[2] or url
        index = FragmentIndex(position + 1)
        layout_fragments.append(Fragment(index, name, offset, length))
        sources.append(
            Source(
                url,
                frozenset((FragmentPosition(position),)),
                objects={index: url},
                validators={index: validator} if validator else {},
            )
        )
        offset += length
    layout = Layout(size, piece_size_for(size), tuple(layout_fragments))
    # Another list of fragments, or another version of one, must not continue this partial; nor must
    # one whose version nobody tells: it may be another.
    lasting = all(validator for _, validator in probed)
    seen = repr(list(zip(urls, probed, strict=True))) + ("" if lasting else os.urandom(16).hex())
    return DownloadTarget(
        DEFAULT_NAME,
        layout,
        tuple(sources),
        piece_hash(b"plain fragments\0" + seen.encode()),
        "",
        notes=("plain fragments have no hashes: the received data is NOT verified",),
        lasting=lasting,
    )
