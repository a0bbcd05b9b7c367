"""What sources answered, kept in little memory, and what of it is worth telling."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from regather.errors import UsageError
from regather.model import Source
from regather.upkeep.report import CopyFinding, CopyState
from regather.upkeep.sources import Subject, expected_of

_MOST = 1_000_000
"""Findings that are kept; each takes some 130 bytes."""
_PIECES = 16
"""Numbers of pieces that take as much as a finding."""


class Room:
    """How much may be kept: a small manifest can name thousands of sources for each fragment."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._taken = 0
        self._lock = threading.Lock()
        self._pieces: dict[int, tuple[int, ...]] = {}

    def take(self, count: int) -> None:
        """Make room for so many findings. Raises UsageError. Thread-safe."""
        with self._lock:
            self._taken += count
            if self._taken > self._most:
                raise UsageError(
                    f"the manifest has more than {self._most} copies of fragments to check",
                    help="check fewer sources: remove some from a copy of the manifest",
                )

    def all_pieces(self, count: int) -> tuple[int, ...]:
        """The numbers of all pieces of a fragment, in memory once for all sources."""
        self.take(count // _PIECES)
        with self._lock:
            if count not in self._pieces:
                self._pieces[count] = tuple(range(count))
            return self._pieces[count]


@dataclass(slots=True)
class Answers:
    """What one source has, as far as it was asked."""

    source: Source
    findings: dict[int, CopyFinding] = field(default_factory=dict)
    """By position; what is neither here nor behind ``gone`` is missing there."""
    gone: CopyFinding | None = None
    """Of the fragment at which the source turned out to be out of reach: it was asked no more."""

    def at(self, position: int, name: str) -> CopyFinding:
        """What is known of a fragment that the source was, or was to be, asked for."""
        if self.gone is not None and position >= self.gone.position:
            return replace(self.gone, position=position, fragment=name)
        missing = CopyFinding(self.source.url, name, position, CopyState.MISSING, True)
        return self.findings.get(position, missing)

    def out_of_reach(self, count: int) -> CopyFinding | None:
        """Why nothing is known of any of its ``count`` fragments; None where something is."""
        known = self.findings.values()
        asked = self.gone.position if self.gone is not None else count
        if not count or len(known) < asked or not all(f.state.out_of_reach for f in known):
            return None
        return next(iter(known), self.gone)


def expected_findings(subject: Subject, asked: Sequence[Answers]) -> list[CopyFinding]:
    """What was found, without what is not there and was not expected to be."""
    layout = subject.layout
    settled = [a for a in asked if a.source.url not in subject.to or a.source.fragments is not None]
    present = [
        frozenset(p for p, f in answers.findings.items() if f.size is not None)
        for answers in settled
    ]
    inferred = expected_of(layout, [a.source for a in settled], present)
    expected = {a.source.url: e for a, e in zip(settled, inferred, strict=True)}
    findings: list[CopyFinding] = []
    for answers in asked:
        should = expected.get(answers.source.url)
        if should is None and (why := answers.out_of_reach(len(layout.fragments))):
            findings.append(replace(why, fragment="", position=-1, expected=False))
            continue
        for position in sorted({*(should or ()), *answers.findings}):
            finding = answers.at(position, layout.fragments[position].name)
            if should is not None and position in should:
                findings.append(finding)
            elif finding.size is not None:
                findings.append(replace(finding, expected=False))
        findings += _unexpected(answers, should or frozenset())
    return findings


def _unexpected(answers: Answers, should: frozenset[int]) -> Iterator[CopyFinding]:
    """Why it is not known whether a source has what nobody expects of it: once for each reason."""
    seen: set[CopyState] = set()
    unknown = [f for p, f in answers.findings.items() if f.size is None and p not in should]
    if answers.gone is not None and answers.source.fragments is None:
        unknown.append(answers.gone)
    for finding in unknown:
        if finding.state not in seen:
            seen.add(finding.state)
            yield replace(finding, expected=False)
