"""Option types and groups that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from regather.errors import UsageError
from regather.units import parse_size


def size(text: str) -> int:
    """An argument type for sizes; argparse shows what is wrong."""
    try:
        return parse_size(text)
    except UsageError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def number(low: float, kind: Callable[[str], float] = float) -> Callable[[str], float]:
    """An argument type for numbers of at least ``low``."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"not a number: {text!r}") from None
        if not low <= value < 1e9:
            raise argparse.ArgumentTypeError(f"must be {low:g} or more: {text}")
        return value

    return read


def whole(low: int) -> Callable[[str], float]:
    """An argument type for whole numbers of at least ``low``."""
    return number(low, int)


def add_output(parser: argparse.ArgumentParser) -> None:
    """The options on what is told: --json and --quiet."""
    parser.add_argument("--json", action="store_true", help="print JSON on standard output")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no report")
