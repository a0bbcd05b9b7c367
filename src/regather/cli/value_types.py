"""Types of the values of options: argparse shows what is wrong with one."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from regather.errors import UsageError
from regather.units import parse_rate, parse_size

_TOO_MANY = 10**9
"""No number of anything, sizes aside, is as large."""


def size(text: str) -> int:
    """An argument type for sizes; argparse shows what is wrong."""
    return _parsed(text, parse_size)


def _parsed(text: str, parse: Callable[[str], int]) -> int:
    try:
        return parse(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(error.line) from None


def rate(text: str) -> int:
    """An argument type for rates: more than 0."""
    value = _parsed(text, parse_rate)
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be more than 0: {text}")
    return value


def number(
    low: float, kind: Callable[[str], float] = float, *, limit: int = _TOO_MANY
) -> Callable[[str], float]:
    """An argument type for numbers of at least ``low``, and below ``limit``."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"not a number: {text!r}") from None
        if not value >= low:
            raise argparse.ArgumentTypeError(f"must be {low:g} or more: {text}")
        if value >= limit:
            raise argparse.ArgumentTypeError(f"too large: {text}")
        return value

    return read


def whole(low: int, *, limit: int = _TOO_MANY) -> Callable[[str], float]:
    """An argument type for whole numbers of at least ``low``, and below ``limit``."""
    return number(low, int, limit=limit)


def share(text: str) -> float:
    """An argument type for shares: more than 0 and up to 1, or ``10%``."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a share: {text!r}") from None
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must be more than 0, at most 1 or 100%: {text}")
    return value
