"""What is said of fragments that could not be had: a line a source and reason."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from regather.engine.tally import SourceTally
from regather.model import Layout, Source

_MOST_LINES = 20
_MOST_NAMES = 4


def missing_lines(
    layout: Layout,
    sources: Sequence[Source],
    tallies: Sequence[SourceTally],
    missing: Sequence[int],
) -> tuple[str, ...]:
    """Why each source did not deliver; ``missing`` are positions of fragments.

    Fragments that a source failed to deliver for the same reason share its line, so that a dead
    server with a thousand fragments is one line.
    """
    reasons: dict[tuple[str, str], list[int]] = {}
    without = set(missing)
    for source, tally in zip(sources, tallies, strict=True):
        for position in _expected(source, missing):
            without.discard(position)
            why = tally.refused.get(position) or tally.last_error or "was not tried"
            reasons.setdefault((source.url, without_address(why, source.url)), []).append(position)
    alone = len(layout.fragments) == 1
    lines = [
        f"{url}: {why}" + ("" if alone else f" ({_names(layout, held, len(missing))})")
        for (url, why), held in reasons.items()
    ]
    if without:
        lines.append(f"no source has {_names(layout, sorted(without), 0)}")
    if more := len(lines) - _MOST_LINES:
        lines[_MOST_LINES:] = [f"and {more} more"] if more > 0 else []
    return tuple(lines)


def all_refused(
    sources: Sequence[Source], tallies: Sequence[SourceTally], missing: Sequence[int]
) -> bool:
    """Whether every source said of every missing fragment that it does not have it, or not so."""
    return all(
        position in tally.refused
        for source, tally in zip(sources, tallies, strict=True)
        for position in _expected(source, missing)
    )


def _expected(source: Source, missing: Sequence[int]) -> Sequence[int]:
    """The missing fragments that a source should have; a manifest may name very many of both."""
    if source.fragments is None:
        return missing
    return sorted(set(missing).intersection(source.fragments))


def without_address(what: str, url: str) -> str:
    """What went wrong, without the address in front of it, which is that of ``url``."""
    host = urlsplit(url).netloc.rpartition("@")[2] or url
    while True:
        address, colon, rest = what.partition(": ")
        if not colon or host not in address or " " in address.removeprefix(host).strip():
            return what
        what = rest


def _names(layout: Layout, positions: Sequence[int], all_of_them: int) -> str:
    """Names of fragments; those that are all of several are not named one by one."""
    if len(positions) == all_of_them > _MOST_NAMES:
        return f"all {all_of_them} of them"
    names = [layout.fragments[position].name for position in positions[:_MOST_NAMES]]
    more = len(positions) - len(names)
    return ", ".join(names) + (f" and {more} more" if more else "")
