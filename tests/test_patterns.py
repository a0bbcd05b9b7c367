"""No regular expression of ours takes more than linear time, whatever it is given."""

from __future__ import annotations

import ast
import importlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import regather
from tests.support.regexes import Counter, TooManySteps, example, samples, unbounded
from tests.support.steps import MOST

ROOT = Path(regather.__file__).parent
LENGTH = 32
"""Of what is repeated; a quadratic search over twice as much takes four times the steps."""
_OWN = ("regather.cli.completion",)
"""Modules whose patterns read only what we wrote ourselves."""
_MODES = ("fullmatch", "match", "search", "finditer", "findall", "sub", "split")


def _patterns() -> Iterator[Any]:
    """All patterns of the source, each with how it is applied; looked for in the source itself."""
    for path in sorted(ROOT.rglob("*.py")):
        tree = ast.parse(path.read_text())
        name = ".".join(["regather", *path.relative_to(ROOT).with_suffix("").parts])
        if name in _OWN:
            continue
        used: dict[str, str] = {}
        for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
            function = call.func
            if not isinstance(function, ast.Attribute) or function.attr not in _MODES:
                continue
            owner = ast.unparse(function.value)
            if owner == "re" and isinstance(call.args[0], ast.Constant):
                text = call.args[0].value
                yield pytest.param(re.compile(str(text)), function.attr, id=f"{name}:{call.lineno}")
            elif used.get(owner) not in ("search", "finditer"):
                used[owner] = function.attr
        if "re.compile(" not in path.read_text() or name.endswith("__main__"):
            continue
        module = importlib.import_module(name.removesuffix(".__init__"))
        for attribute, value in vars(module).items():
            group = value if isinstance(value, tuple) else (value,)
            for number, pattern in enumerate(group):
                if isinstance(pattern, re.Pattern):
                    mode = used.get(attribute, used.get("form", "search"))
                    yield pytest.param(pattern, mode, id=f"{name}.{attribute}[{number}]")


def _attacks(counter: Counter) -> Iterator[tuple[str, str]]:
    """What comes first and what is repeated: short words, after what leads to each repetition."""
    ops = counter.ops
    places = [at for at, op in enumerate(ops) if unbounded([op])]
    letters = [*dict.fromkeys(itertools.chain(*(samples(unbounded([ops[at]])) for at in places)))]
    letters = [*letters[:10], "\x01"]
    words = [*letters, *map("".join, itertools.permutations(letters, 2))]
    words += [example(ops[at : at + count]) for at in places for count in (1, 2, 3)]
    words += [example(ops[at - 1 : at + 1]) for at in places if at]
    beginnings = [example(ops[:at]) for at in places]
    return itertools.product(dict.fromkeys(beginnings), filter(None, dict.fromkeys(words)))


@pytest.mark.parametrize(("pattern", "mode"), list(_patterns()))
def test_linear(pattern: re.Pattern[Any], mode: str) -> None:
    counter = Counter(pattern)
    for before, word in _attacks(counter):
        for after in ("\x00", ""):
            texts = [before + word * n + after for n in (LENGTH, 2 * LENGTH)]
            try:
                once, twice = (counter.count(text, mode) for text in texts)
            except TooManySteps:
                pytest.fail(f"takes for ever: {texts[0]!r}")
            assert twice <= MOST * once + 100, f"{once} and {twice} steps: {texts[0]!r}"
