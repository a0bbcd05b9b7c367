"""The ``Range`` of a request (RFC 9110 section 14)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_BEYOND = 2**63
_MAX_DIGITS = 18
_BLANK = " \t"


class ByteRange(NamedTuple):
    """Bytes ``start`` up to, but not including, ``stop``."""

    start: int
    stop: int


class UnsatisfiableRange(Exception):
    """No byte of the file is asked for: the answer is 416."""


def parse_range(fields: Sequence[str], size: int) -> ByteRange | None:
    """Read the Range header lines against a file of ``size`` bytes; None means the whole file.

    Ignored, as a server may (RFC 9110 14.2): other units than bytes, several ranges at once, and
    every range of an empty file, of which 206 could not name a byte. Raises UnsatisfiableRange for
    a range that is malformed or lies beyond the file.
    """
    if not fields or not size:
        return None
    unit, _, ranges = ",".join(fields).partition("=")
    if unit.strip(_BLANK).lower() != "bytes":
        return None
    # A list may have empty elements (RFC 9110 5.6.1.2).
    wanted = [element for part in ranges.split(",") if (element := part.strip(_BLANK))]
    if len(wanted) > 1:
        return None
    first, dash, last = wanted[0].partition("-") if wanted else ("", "", "")
    first, last = first.rstrip(_BLANK), last.lstrip(_BLANK)
    if not dash or not (first or last) or not (_is_number(first) and _is_number(last)):
        raise UnsatisfiableRange
    if not first:
        span = ByteRange(max(size - _number(last), 0), size)
    else:
        span = ByteRange(_number(first), min(_number(last) + 1, size) if last else size)
    if span.start >= span.stop:
        raise UnsatisfiableRange
    return span


def _is_number(digits: str) -> bool:
    return not digits or (digits.isascii() and digits.isdigit())


def _number(digits: str) -> int:
    """Read a number; one too long to be a position in any file becomes just very large."""
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _MAX_DIGITS else _BEYOND
