"""Conditional and range requests, as RFC 9110 defines them (sections 13 and 14)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple, Protocol

__all__ = ["Span", "UnsatisfiableRange", "parse_range", "precondition", "range_applies"]

_RANGE = re.compile(r"[ \t]*([0-9]*)[ \t]*-[ \t]*([0-9]*)[ \t]*", re.ASCII)
_BEYOND = 2**63
_MAX_DIGITS = 18


class Span(NamedTuple):
    """Bytes ``start`` up to, but not including, ``stop``."""

    start: int
    stop: int


class UnsatisfiableRange(Exception):
    """No byte of the file is asked for: the answer is 416."""


def parse_range(header: str | None, size: int) -> Span | None:
    """Read a Range header against a file of ``size`` bytes; None means the whole file.

    Other units than bytes, and several ranges at once, are ignored, as a server may. Raises
    UnsatisfiableRange for a range that is malformed or lies beyond the file.
    """
    if header is None:
        return None
    unit, _, ranges = header.partition("=")
    if unit.strip().lower() != "bytes" or "," in ranges:
        return None
    match = _RANGE.fullmatch(ranges)
    if match is None or not (match[1] or match[2]):
        raise UnsatisfiableRange
    if not match[1]:
        span = Span(max(size - _number(match[2]), 0), size)
    else:
        last = _number(match[2]) if match[2] else _BEYOND
        span = Span(_number(match[1]), min(last + 1, size))
    if span.start >= span.stop:
        raise UnsatisfiableRange
    return span


def _number(digits: str) -> int:
    """Read a number; one too long to be a position in any file becomes just very large."""
    digits = digits.lstrip("0") or "0"
    return int(digits) if len(digits) <= _MAX_DIGITS else _BEYOND


def range_applies(if_range: str | None, tag: str, last_modified: str) -> bool:
    """Tell whether the Range header counts: the client's copy must be of this very version.

    ``tag`` comes without quotes. Only a strong tag or the exact date will do.
    """
    return if_range is None or if_range.strip() in (f'"{tag}"', last_modified)


class EntityTag(Protocol):
    """An entity tag as a request names it; the value ``*`` stands for any."""

    @property
    def value(self) -> str: ...
    @property
    def is_weak(self) -> bool: ...


def precondition(
    tag: str,
    modified: int,
    *,
    if_match: Iterable[EntityTag] | None = None,
    if_unmodified_since: float | None = None,
    if_none_match: Iterable[EntityTag] | None = None,
    if_modified_since: float | None = None,
) -> int:
    """Evaluate the conditions of a GET or HEAD: 200 goes on, 304 and 412 are the answer.

    ``modified`` and the times are seconds since 1970.
    """
    if if_match is not None:
        if not any(t.value == "*" or (t.value == tag and not t.is_weak) for t in if_match):
            return 412
    elif if_unmodified_since is not None and modified > if_unmodified_since:
        return 412
    if if_none_match is not None:
        if any(t.value in ("*", tag) for t in if_none_match):
            return 304
    elif if_modified_since is not None and modified <= if_modified_since:
        return 304
    return 200
