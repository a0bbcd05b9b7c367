"""How many steps a backtracking search takes, by trying a pattern as Python's engine does."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

_CATEGORIES: dict[Any, Callable[[str], bool]] = {
    sre.CATEGORY_DIGIT: str.isdigit,
    sre.CATEGORY_NOT_DIGIT: lambda c: not c.isdigit(),
    sre.CATEGORY_SPACE: str.isspace,
    sre.CATEGORY_NOT_SPACE: lambda c: not c.isspace(),
    sre.CATEGORY_WORD: lambda c: c.isalnum() or c == "_",
    sre.CATEGORY_NOT_WORD: lambda c: not (c.isalnum() or c == "_"),
}
_SINGLE = (sre.LITERAL, sre.NOT_LITERAL, sre.ANY, sre.IN)
Op = tuple[Any, Any]
_MANY = 64


class TooManySteps(Exception):
    """The search takes longer than anybody wants to count."""


class Counter:
    """Runs one pattern over texts and counts the steps."""

    def __init__(self, pattern: re.Pattern[Any], most: int = 50_000) -> None:
        self._flags = pattern.flags
        self.ops: list[Op] = list(parser.parse(pattern.pattern, pattern.flags & ~re.UNICODE))
        self._most = most
        self.steps = 0

    def count(self, text: str, mode: str) -> int:
        """Steps of ``match``, ``fullmatch`` or ``search`` (and all that look for more)."""
        self._text = text
        self.steps = 0
        starts = range(len(text) + 1) if mode not in ("match", "fullmatch") else (0,)
        for start in starts:
            for end in self._sequence(self.ops, 0, start):
                if mode != "fullmatch" or end == len(text):
                    return self.steps
        return self.steps

    def _step(self, by: int = 1) -> None:
        self.steps += by
        if self.steps > self._most:
            raise TooManySteps

    def _sequence(self, ops: Sequence[Op], at: int, start: int) -> Iterator[int]:
        if at == len(ops):
            yield start
            return
        for end in self._op(ops[at], start):
            yield from self._sequence(ops, at + 1, end)

    def _op(self, op: Op, at: int) -> Iterator[int]:
        self._step()
        kind, what = op
        if kind in _SINGLE:
            if at < len(self._text) and self._takes(op, self._text[at]):
                yield at + 1
        elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            least, most, body = what
            ends = self._repeated(kind is sre.MIN_REPEAT, least, most, list(body), 0, at)
            yield from _first(ends) if kind is sre.POSSESSIVE_REPEAT else ends
        elif kind is sre.SUBPATTERN:
            yield from self._sequence(list(what[-1]), 0, at)
        elif kind is sre.ATOMIC_GROUP:
            yield from _first(self._sequence(list(what), 0, at))
        elif kind is sre.BRANCH:
            for branch in what[1]:
                yield from self._sequence(list(branch), 0, at)
        elif kind is sre.AT:
            if self._stands(what, at):
                yield at
        elif kind in (sre.ASSERT, sre.ASSERT_NOT):
            direction, body = what
            start = at if direction > 0 else at - body.getwidth()[0]
            found = start >= 0 and any(True for _ in self._sequence(list(body), 0, start))
            if found is (kind is sre.ASSERT):
                yield at
        else:
            raise NotImplementedError(kind)

    def _repeated(
        self, lazy: bool, least: int, most: Any, body: list[Op], done: int, at: int
    ) -> Iterator[int]:
        if len(body) == 1 and body[0][0] in _SINGLE and not lazy:
            end, text = at, self._text
            while end < len(text) and end - at < most and self._takes(body[0], text[end]):
                end += 1
                self._step()
            for back in range(end, at + least - 1, -1):
                self._step()
                yield back
            return
        if lazy and done >= least:
            yield at
        if done < most:
            for end in self._sequence(body, 0, at):
                if end > at:
                    yield from self._repeated(lazy, least, most, body, done + 1, end)
        if not lazy and done >= least:
            yield at

    def _takes(self, op: Op, char: str) -> bool:
        kind, what = op
        if kind is sre.ANY:
            return char != "\n" or bool(self._flags & re.DOTALL)
        if kind is sre.NOT_LITERAL:
            return not self._is(what, char)
        if kind is sre.LITERAL:
            return self._is(what, char)
        negated = what[0][0] is sre.NEGATE
        return negated != any(self._in(item, char) for item in what)

    def _in(self, item: Op, char: str) -> bool:
        kind, what = item
        if kind is sre.LITERAL:
            return self._is(what, char)
        if kind is sre.RANGE:
            return any(what[0] <= ord(c) <= what[1] for c in self._cases(char))
        return kind is sre.CATEGORY and _CATEGORIES[what](char)

    def _is(self, code: int, char: str) -> bool:
        return any(ord(c) == code for c in self._cases(char))

    def _cases(self, char: str) -> str:
        return char.lower() + char.upper() if self._flags & re.IGNORECASE else char

    def _stands(self, where: Any, at: int) -> bool:
        text = self._text
        if where in (sre.AT_BEGINNING, sre.AT_BEGINNING_STRING):
            return at == 0 or (bool(self._flags & re.MULTILINE) and text[at - 1] == "\n")
        if where in (sre.AT_END, sre.AT_END_STRING):
            return at == len(text) or (where is sre.AT_END and text[at:] == "\n")
        inside = [
            0 <= n < len(text) and (text[n].isalnum() or text[n] == "_") for n in (at - 1, at)
        ]
        return (inside[0] != inside[1]) is (where is sre.AT_BOUNDARY)


def _first(ends: Iterator[int]) -> Iterator[int]:
    for end in ends:
        yield end
        return


def unbounded(ops: Sequence[Op]) -> list[Op]:
    """The repetitions in it, at any depth, of which nobody says how many there may be."""
    found: list[Op] = []
    for op in ops:
        kind, what = op
        if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            found += [op] if what[1] > _MANY else unbounded(list(what[2]))
        elif kind is sre.SUBPATTERN:
            found += unbounded(list(what[-1]))
        elif kind is sre.ATOMIC_GROUP:
            found += unbounded(list(what))
        elif kind is sre.BRANCH:
            for branch in what[1]:
                found += unbounded(list(branch))
    return found


def samples(ops: Sequence[Op]) -> list[str]:
    """Characters that the pattern tells apart: each literal, and some of each class."""
    found: dict[str, None] = {}
    for kind, what in ops:
        if kind in (sre.LITERAL, sre.NOT_LITERAL):
            found[chr(what)] = None
        elif kind is sre.ANY:
            found["a"] = None
        elif kind is sre.IN:
            found.update(dict.fromkeys(_members(what)))
        elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            found.update(dict.fromkeys(samples(list(what[2]))))
        elif kind is sre.SUBPATTERN:
            found.update(dict.fromkeys(samples(list(what[-1]))))
        elif kind is sre.ATOMIC_GROUP:
            found.update(dict.fromkeys(samples(list(what))))
        elif kind is sre.BRANCH:
            for branch in what[1]:
                found.update(dict.fromkeys(samples(list(branch))))
        elif kind in (sre.ASSERT, sre.ASSERT_NOT):
            found.update(dict.fromkeys(samples(list(what[1]))))
    return list(found)


def _members(items: Sequence[Op]) -> Iterator[str]:
    for kind, what in items:
        if kind is sre.LITERAL:
            yield chr(what)
        elif kind is sre.RANGE:
            yield chr(what[0])
        elif kind is sre.CATEGORY:
            yield next(c for c in "a0 -" if _CATEGORIES[what](c))
        elif kind is sre.NEGATE:
            yield "z"


def example(ops: Sequence[Op]) -> str:
    """A short text that the operations take, most likely."""
    text = ""
    for kind, what in ops:
        if kind is sre.LITERAL:
            text += chr(what)
        elif kind in (sre.NOT_LITERAL, sre.ANY):
            text += "a"
        elif kind is sre.IN:
            text += next(iter(_members(what)))
        elif kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
            text += example(list(what[2])) * max(1, int(what[0]))
        elif kind is sre.SUBPATTERN:
            text += example(list(what[-1]))
        elif kind is sre.ATOMIC_GROUP:
            text += example(list(what))
        elif kind is sre.BRANCH:
            text += example(list(what[1][0]))
    return text
