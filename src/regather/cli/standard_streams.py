"""The standard streams of this process, whatever it was started with."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import FileIO, TextIOWrapper
from itertools import pairwise
from typing import TYPE_CHECKING, BinaryIO, cast

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


STANDARD_OUTPUT = "-"
"""What names it as the place for a file."""
closed: set[int] = set()
"""The numbers of those without which we were started."""


def open_all() -> None:
    """Where we were started without a standard stream (``>&-``), what goes there is dropped.

    Else its number would go to the next file that is opened, and our output into that file.
    """
    replaced = sys.stderr is not sys.__stderr__  # by a program that uses us
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        try:
            os.fstat(number)
        except OSError as error:
            if error.errno != errno.EBADF:
                continue  # open, on a disk that fails: whoever uses it is told
            closed.add(number)
            # The lowest number that is free: this one, since those below are open by now.
            null = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(null, True)
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115
    if replaced:
        return
    # Without a BufferedWriter: where a signal ends a write of its, it writes the same once more.
    raw = _StandardError(2, "w", closefd=False)
    sys.stderr = TextIOWrapper(
        cast(BinaryIO, raw), sys.stderr.encoding, "backslashreplace", line_buffering=True
    )


class _StandardError(FileIO):
    """What standard error does not take is dropped: the command goes on, with its exit code."""

    def write(self, data: ReadableBuffer, /) -> int:
        """Write all of it, or drop what cannot be written."""
        left = memoryview(data)
        size = left.nbytes
        with suppress(OSError):
            while left:
                left = left[super().write(left) or size :]  # None: it would block
        return size


def goes_to_output(arguments: Sequence[str]) -> bool:
    """Whether a command line, which may be wrong, asks for the file on standard output."""
    return "get" in arguments and any(
        (value == STANDARD_OUTPUT and _is_output(option))
        or (value.endswith(STANDARD_OUTPUT) and _is_output(value[:-1].removesuffix("=")))
        for option, value in pairwise(arguments)
    )


def _is_output(option: str) -> bool:
    """Whether a word is ``--output``, or ``-o`` behind flags of one letter, as in ``-fo``."""
    letters = option[1:] if option.startswith("-") else ""
    return option == "--output" or (letters.isalpha() and letters.endswith("o"))


@contextmanager
def free_of_words(*, when: bool) -> Iterator[None]:
    """Print to standard error, where standard output is for a file."""
    output = sys.stdout
    if when:
        sys.stdout = sys.stderr
    try:
        yield
    finally:
        sys.stdout = output


def drop_output() -> None:
    """Leave nothing to be flushed to a standard output that takes nothing."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
