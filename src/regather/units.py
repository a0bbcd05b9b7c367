"""Sizes, rates and durations as people write and read them.

Read are decimal and binary units; written are binary ones with their IEC names, everywhere, and
with the exact number of bytes where the size of a file is the news.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from regather.errors import UsageError

_FACTORS: dict[str, int] = {
    "": 1,
    "b": 1,
    **{u + s: 1000**p for p, u in enumerate("kmgtp", 1) for s in ("", "b")},
    **{u + s: 1 << (10 * p) for p, u in enumerate("kmgtp", 1) for s in ("i", "ib")},
}
_SIZE = r"(?ia)\s*([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*+([a-z]*)\s*"
_LONGEST = 100 * 3600
"""Seconds; longer estimates say nothing."""
MAX_SIZE = 2**60
"""The largest size, in bytes, that is taken anywhere (1 EiB)."""


def parse_size(text: str) -> int:
    """Read ``100MB`` (10^6), ``100MiB`` (2^20), ``1.5G`` or plain bytes; return bytes.

    Raises UsageError where the text is no size, is not a whole number of bytes, or is too large.
    """
    match = re.fullmatch(_SIZE, text)
    factor = _FACTORS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise UsageError(
            f"not a size: {text!r}", help="write a number and a unit, like 500KB, 100MB or 1.5GiB"
        )
    whole, _, decimals = match[1].partition(".")
    scaled: int
    scaled, rest = divmod(int(whole + decimals) * factor, 10 ** len(decimals))
    if rest:
        raise UsageError(f"not a whole number of bytes: {text!r}", help="use a smaller unit")
    if scaled > MAX_SIZE:
        raise UsageError(f"too large: {text!r}", help="the largest size is 1 EiB")
    return scaled


def parse_rate(text: str) -> int:
    """Read a rate: a size for each second, with or without ``/s``. Raises UsageError."""
    return parse_size(text.removesuffix("/s"))


def counted(count: int, noun: str, plural: str = "") -> str:
    """How many of something, for people: ``1 file``, ``3 files``; ``plural`` where it is no "s"."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def format_size(count: float) -> str:
    """Write bytes for people, in binary units: ``1.5 GiB``."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if abs(count) < 1024 or unit == "PiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def format_exact(count: int) -> str:
    """Write bytes for people with the exact number: ``95.4 MiB (100000000 bytes)``."""
    short = format_size(count)
    return short if count < 1024 else f"{short} ({count} bytes)"


def format_rate(bytes_per_second: float) -> str:
    """Write a rate for people: ``1.5 GiB/s``."""
    return f"{format_size(bytes_per_second)}/s"


def format_duration(seconds: float) -> str:
    """Write a duration for people: ``0.42 s``, ``1:05`` or ``2:03:04``."""
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def format_left(seconds: float) -> str:
    """Write an estimate of the time left for people: ``10 s``, ``1:05`` or ``2:03:04``."""
    if seconds >= _LONGEST:
        return "days"
    return f"{round(seconds)} s" if round(seconds) < 60 else format_duration(seconds)


def size_of(done: int, total: int) -> str:
    """Write how much is done of how much, in the unit of the whole: ``1.2 of 3.8 GiB``."""
    whole = format_size(total)
    unit = whole.rpartition(" ")[2]
    part = done / _FACTORS[unit.lower()]
    return f"{part:.0f} of {whole}" if unit == "B" else f"{part:.1f} of {whole}"


def percentages(parts: Sequence[float]) -> list[int]:
    """Whole percentages of the parts, which sum to 100 (largest remainder); zeros without parts."""
    total = sum(parts)
    if total <= 0:
        return [0] * len(parts)
    exact = [100 * part / total for part in parts]
    shares = [int(share) for share in exact]
    order = sorted(range(len(parts)), key=lambda n: shares[n] - exact[n])
    for n in order[: 100 - sum(shares)]:
        shares[n] += 1
    return shares
