"""The inputs to begin with: a line each in ``corpus/NAME.txt``, with the escapes of Python.

Lines that begin with ``#`` are comments. An input that something was found with is added, so that
it is tried each time.
"""

from __future__ import annotations

from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"


def seeds(name: str) -> list[bytes]:
    """The inputs of a harness."""
    lines = (CORPUS / f"{name}.txt").read_text("ascii").splitlines()
    return [from_line(line) for line in lines if not line.startswith("#")]


def from_line(line: str) -> bytes:
    """An input from its line."""
    return line.encode("ascii").decode("unicode_escape").encode("latin-1")


def as_line(data: bytes) -> str:
    """The line of an input."""
    text = data.decode("latin-1").encode("unicode_escape").decode("ascii")
    return "\\x23" + text[1:] if text.startswith("#") else text
