"""Some of the files of a folder, by path or pattern."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from regather.folder.values import Folder


def chosen(folder: Folder, patterns: Sequence[str]) -> frozenset[int]:
    """The numbers of entries that ``patterns`` mean, and of the folders that they are in.

    A pattern is a path, or one with ``*``, ``?`` and ``[...]``, which match slashes too; a folder
    means all that is in it. Raises KeyError with the first one that means nothing.
    """
    found: set[int] = set()
    numbers = {entry.path: number for number, entry in enumerate(folder.entries)}
    for pattern in patterns:
        plain = pattern.rstrip("/")
        inside = f"{plain}/"
        if plain in numbers:
            new = {n for p, n in numbers.items() if p == plain or p.startswith(inside)}
        else:
            roots = {p for p in numbers if fnmatchcase(p, plain)}
            new = {n for p, n in numbers.items() if p in roots or _above(p) & roots}
        if not new:
            raise KeyError(pattern)
        found |= new
    for number in tuple(found):
        found.update(numbers[path] for path in _above(folder.entries[number].path))
    return frozenset(found)


def _above(path: str) -> set[str]:
    """The folders that a path is in."""
    return {path[:at] for at, letter in enumerate(path) if letter == "/"}
