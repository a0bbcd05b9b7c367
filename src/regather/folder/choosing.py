"""Some of the files of a folder, by path or pattern."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from regather.folder.values import Folder


def chosen(folder: Folder, patterns: Sequence[str], without: Sequence[str] = ()) -> frozenset[int]:
    """The numbers of entries that match ``patterns``, and of the folders that they are in.

    A pattern is a path, or one with ``*``, ``?`` and ``[...]``, which match slashes too; a folder
    means all that is in it. No pattern means all. What matches ``without`` is left out. Raises
    KeyError with the first pattern that matches nothing, or whose matches are all left out.
    """
    numbers = {entry.path: number for number, entry in enumerate(folder.entries)}
    left_out: set[int] = set().union(*(_matches(numbers, pattern) for pattern in without))
    found: set[int] = set()
    for pattern in patterns or ("*",):
        new = _matches(numbers, pattern) - left_out
        if not new:
            raise KeyError(pattern)
        found |= new
    for number in tuple(found):
        found.update(numbers[path] for path in _above(folder.entries[number].path))
    return frozenset(found)


def _matches(numbers: Mapping[str, int], pattern: str) -> set[int]:
    """The entries that a pattern matches, with all that is in folders among them."""
    plain = pattern.rstrip("/")
    inside = f"{plain}/"
    if plain in numbers:
        return {n for p, n in numbers.items() if p == plain or p.startswith(inside)}
    roots = {p for p in numbers if fnmatchcase(p, plain)}
    return {n for p, n in numbers.items() if p in roots or _above(p) & roots}


def _above(path: str) -> set[str]:
    """The folders that a path is in."""
    return {path[:at] for at, letter in enumerate(path) if letter == "/"}
