"""Plain fragments, given in order, without a manifest: nothing is known to verify them with."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence

from regather.digest import piece_hash
from regather.errors import NotEnoughSourcesError, RegatherError, UsageError, reason
from regather.files.platform import UNTRUE_SIZE, size_is_untrue
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
from regather.transport import is_url
from regather.units import MAX_SIZE, counted

DEFAULT_NAME = "recombined_large_file.dat"
"""What a list of plain fragments is recombined to."""


def resolve_fragments(fragments: Sequence[str], asking: Prober) -> DownloadTarget:
    """Make a layout of plain fragments, given in order; asks each for its size.

    Nothing is known to verify with. Raises NotEnoughSourcesError naming those that cannot be had.
    """
    urls = [address_of(text).text for text in fragments]
    remote = [url for url in urls if is_url(url)]
    probed = iter(asking.all(remote, lambda connection, url: connection.probe(url)))
    answers = [next(probed) if is_url(url) else _local(url) for url in urls]
    failed = [a.what for a in answers if isinstance(a, RegatherError)]
    if failed:
        raise NotEnoughSourcesError(
            f"cannot get {len(failed)} of {counted(len(urls), 'fragment')}: {failed[0]}",
            details=tuple(failed[1:]),
            missing=tuple(
                u for u, a in zip(urls, answers, strict=True) if isinstance(a, RegatherError)
            ),
            help="check the addresses and the servers, then run the same command again",
        )
    sizes = [a for a in answers if not isinstance(a, RegatherError)]
    return _plain_target(urls, sizes)


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


def _local(path: str) -> tuple[int, str] | UsageError:
    """Size in bytes and validator of a fragment in a file, or why it cannot be had."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return UsageError(f"{path}: {reason(error).lower()}")
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return UsageError(f"{path}: not a file")
        if size_is_untrue(descriptor):
            return UsageError(f"{path}: {UNTRUE_SIZE}")
        return status.st_size, f"{status.st_mtime_ns}"
    except OSError as error:
        return UsageError(f"{path}: {reason(error).lower()}")
    finally:
        os.close(descriptor)
