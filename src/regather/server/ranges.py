"""The ``Range`` of a request (RFC 9110 section 14)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

MAX_RANGES = 16
"""Ranges of one answer, after those that overlap or touch are merged."""
_BEYOND = 2**63
_MAX_DIGITS = 18
_BLANK = " \t"


class ByteRange(NamedTuple):
    """Bytes ``start`` up to, but not including, ``stop``."""

    start: int
    stop: int


class UnsatisfiableRange(Exception):
    """No byte of the file is asked for: the answer is 416."""


def parse_ranges(fields: Sequence[str], size: int) -> list[ByteRange] | None:
    """Read the Range header lines against a file of ``size`` bytes; None means the whole file.

    The ranges are in the order of the header, without those beyond the end. Ranges that overlap or
    touch are one range, at the place of the first. Ignored, as a server may (RFC 9110 14.2): other
    units than bytes, malformed ranges, more than ``MAX_RANGES``, and every range of an empty file,
    of which 206 could not name a byte. Raises UnsatisfiableRange where all ranges are well-formed
    and lie beyond the file.
    """
    if not fields or not size:
        return None
    unit, _, ranges = ",".join(fields).partition("=")
    if unit.strip(_BLANK).lower() != "bytes":
        return None
    # A list may have empty elements (RFC 9110 5.6.1.2).
    wanted = [element for part in ranges.split(",") if (element := part.strip(_BLANK))]
    spans = [_parse_range(element, size) for element in wanted]
    if not spans or None in spans:
        return None
    satisfiable = [span for span in spans if span is not None and span.start < span.stop]
    if not satisfiable:
        raise UnsatisfiableRange
    merged = _merged(satisfiable)
    return merged if len(merged) <= MAX_RANGES else None


def _parse_range(text: str, size: int) -> ByteRange | None:
    """One range, empty if it names no byte of the file; None where it is malformed."""
    first, dash, last = text.partition("-")
    first, last = first.rstrip(_BLANK), last.lstrip(_BLANK)
    if not dash or not (first or last) or not (_is_number(first) and _is_number(last)):
        return None
    if not first:
        return ByteRange(max(size - _number(last), 0), size)
    start = _number(first)
    if not last:
        return ByteRange(start, size)
    stop = _number(last) + 1
    return ByteRange(start, min(stop, size)) if start < stop else None


def _merged(spans: Iterable[ByteRange]) -> list[ByteRange]:
    merged: list[tuple[int, ByteRange]] = []
    for (start, stop), place in sorted(zip(spans, range(1 << 62), strict=False)):
        if merged and start <= merged[-1][1].stop:
            first, last = merged[-1]
            merged[-1] = (min(first, place), ByteRange(last.start, max(last.stop, stop)))
        else:
            merged.append((place, ByteRange(start, stop)))
    return [span for _, span in sorted(merged)]


def _is_number(digits: str) -> bool:
    return not digits or (digits.isascii() and digits.isdigit())


def _number(digits: str) -> int:
    """Read a number; one too long to be a position in any file becomes just very large."""
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _MAX_DIGITS else _BEYOND
