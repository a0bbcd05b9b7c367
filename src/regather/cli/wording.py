"""How the sources of a download are described, in live tables as in plain lines."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from regather.units import counted, format_left

if TYPE_CHECKING:
    from regather.downloader import Progress, SourceProgress

_LONG_PAUSE = 20.0
"""Seconds; our own pauses are shorter."""


def by_url(sources: Sequence[SourceProgress]) -> list[SourceProgress]:
    """The sources in the order in which people count: server2 before server10."""
    return sorted(sources, key=lambda source: natural(source.url))


def natural(text: str) -> list[tuple[int, str]]:
    """A key that sorts numbers in texts by their value: server2 before server10."""
    parts = re.split(r"([0-9]+)", text)
    return [(int(part[:18]), part) if n % 2 else (0, part) for n, part in enumerate(parts)]


def why(source: SourceProgress) -> str:
    """The last failure, without the address, which stands beside it."""
    last = source.last_error.rpartition(": ")[2]
    return f"{last[:1].lower()}{last[1:]}" if last[1:2].islower() else last


def host_of(source: SourceProgress) -> str:
    """The host of a source; for a folder its path."""
    return urlsplit(source.url).netloc.rpartition("@")[2] or source.url


def name_of(source: SourceProgress) -> str:
    """Its address as short as it is told apart from others: without http:// and a last slash."""
    return source.url.removeprefix("http://").removeprefix("https://").rstrip("/") or source.url


def state_of(source: SourceProgress) -> str:
    """The state in a word or two, as on the page."""
    if source.state != "waiting":
        return source.state
    pause = pause_of(source)
    return f"paused{pause}" if pause else "failing"


def pause_of(source: SourceProgress) -> str:
    """A space and the length of a long pause, without which a download seems to be stuck."""
    return f" {format_left(source.pause)}" if source.pause >= _LONG_PAUSE else ""


def retry_of(source: SourceProgress, progress: Progress) -> str:
    """Which attempt comes next."""
    if not source.failures:
        return ""
    return f", retry {min(source.failures, progress.retries)} of {progress.retries}"


def losses(survived: int, noun: str, *, exact: bool = True) -> str:
    """How many places, whichever they are, may be lost; ``noun`` is what one is called."""
    if survived < 1:
        return f"no loss of a {noun}{'' if exact else ' for certain'}"
    least = "" if exact else "at least "
    return f"the loss of {least}any {counted(survived, noun)}"
