"""Rules of ``rules.toml``, and what a passage breaks."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tools.prose.text import Passage

__all__ = ["LONGEST", "MEAN", "Finding", "Rule", "findings", "mean", "rules"]

LONGEST = 40
"""Words of a sentence, at most."""
MEAN = 18
"""Words of the sentences of one file in the mean, at most."""
_FRAGMENT = 4
"""Fewer words than this are a label, which would make the mean look better than it is."""


@dataclass(frozen=True)
class Rule:
    """A habit, what to write instead, and an example of each."""

    find: re.Pattern[str]
    write: str
    wrong: str
    right: str


@dataclass(frozen=True)
class Finding:
    """What is wrong at one place."""

    path: str
    line: int
    found: str
    write: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.found}: {self.write}"


def rules() -> list[Rule]:
    """All rules of the data file."""
    data = tomllib.loads(Path(__file__).with_name("rules.toml").read_text(encoding="utf-8"))
    return [
        Rule(re.compile(r["find"], re.MULTILINE), r["write"], r["wrong"], r["right"])
        for r in data["rule"]
    ]


def findings(passages: Iterable[Passage], habits: Iterable[Rule]) -> Iterator[Finding]:
    """What the passages of one file break, in their order; last their mean."""
    habits, passages = list(habits), list(passages)
    for passage in passages:
        for rule in habits:
            for match in rule.find.finditer(passage.text):
                line = passage.line + passage.text.count("\n", 0, match.start())
                found = " ".join(match[0].split())
                yield Finding(passage.path, line, f'"{found}"', f"write {rule.write}")
        for sentence in passage.sentences():
            if sentence.words > LONGEST:
                head = " ".join(sentence.text.split()[:6])
                found = f'{sentence.words} words in "{head} ..."'
                write = f"make two sentences of it ({LONGEST} words at most)"
                yield Finding(passage.path, sentence.line, found, write)
    average = mean(passages)
    if average >= MEAN and not passages[0].path.endswith(".py"):
        found = f"sentences have {average:.1f} words on average"
        write = f"make them shorter (under {MEAN}); --worst 20 lists the longest"
        yield Finding(passages[0].path, passages[0].line, found, write)


def mean(passages: Iterable[Passage]) -> float:
    """The mean number of words of a sentence."""
    counts = [s.words for passage in passages for s in passage.sentences() if s.words >= _FRAGMENT]
    return sum(counts) / len(counts) if len(counts) > 5 else 0.0
