"""Option types and groups that several commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from regather.errors import UsageError
from regather.tokens import read_token_file
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


def share(text: str) -> float:
    """An argument type for shares: more than 0 and up to 1, or ``10%``."""
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        raise argparse.ArgumentTypeError(f"not a share: {text!r}") from None
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"must be more than 0, at most 1 or 100%: {text}")
    return value


def add_output(parser: argparse.ArgumentParser) -> None:
    """The options on what is told: --json and --quiet."""
    parser.add_argument("--json", action="store_true", help="print JSON on standard output")
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress and no report")


def add_tokens(parser: argparse._ActionsContainer) -> None:
    """The option --token, repeatable; see tokens_of."""
    parser.add_argument(
        "--token",
        action="append",
        default=[],
        metavar="HOST=FILE",
        help="show the token in FILE to HOST (or HOST:PORT), and to no other; repeat for more",
    )


def tokens_of(given: Sequence[str]) -> dict[str, str]:
    """Read what --token names; returns tokens by host. Raises UsageError."""
    tokens = {}
    for pair in given:
        host, equals, path = pair.partition("=")
        if not equals or not host or not path:
            # Not shown: it may be the token itself.
            raise UsageError("--token needs HOST=FILE", help="FILE holds the token")
        tokens[host] = token_in(path, "--token")
    return tokens


def token_in(path: str, option: str) -> str:
    """The token in a file; warns where all users can read it. Raises UsageError."""
    token, exposed = read_token_file(path, option)
    if exposed:
        warn(f"{option} {path}: all users of this machine can read it; chmod 600 it")
    return token


def warn(line: str) -> None:
    """Write a warning to standard error."""
    print(f"regather: warning: {line}", file=sys.stderr)
