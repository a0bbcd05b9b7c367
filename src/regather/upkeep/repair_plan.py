"""What a repair has to restore, and at which sources: pure decisions, no I/O."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from heapq import nsmallest

from regather.upkeep.report import CheckReport, CopyFinding, CopyState, Unwritten
from regather.upkeep.sources import Subject

_MOST_TARGETS = 32
"""Places that are kept in mind for one fragment, the best first."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A fragment that is to stand at one of ``targets``, the first that takes it."""

    position: int
    home: str
    """Where it should stand by the manifest; empty where nothing says so."""
    targets: tuple[str, ...]


@dataclass(slots=True)
class Wants:
    """All that is to be restored after a check."""

    subject: Subject
    before: CheckReport
    wants: list[Repair] = field(default_factory=list)
    unwritten: list[Unwritten] = field(default_factory=list)
    """What cannot even be tried."""
    dropped: list[str] = field(default_factory=list)
    """Sources of unknown content that are gone, while others were named to take over."""
    good: set[tuple[str, int]] = field(default_factory=set)
    """(source, position) of copies without a known flaw."""
    gone: set[str] = field(default_factory=set)
    """Sources that are out of reach, for a fragment at least."""
    _taken: set[tuple[str, int]] = field(default_factory=set)
    """(source, position) of copies that have a purpose already."""
    _held: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    _kin: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By source and erasure set: how many of its fragments are there."""

    def __post_init__(self) -> None:
        findings = self.before.findings
        for f in findings:
            if f.state is CopyState.OK:
                self.good.add((f.source, f.position))
            if f.expected and not _gone(f):
                self._taken.add((f.source, f.position))
            if f.size is not None:
                self._hold(f.source, f.position)
            if _gone(f):
                self.gone.add(f.source)
        for finding in findings:
            if finding.state is not CopyState.OK:
                self._consider(finding)
        wanted = {w.position for w in self.wants}
        expected = {f.position for f in findings if f.expected}
        at_hand = {p for _, p in self.good}
        cared_for = wanted | expected | at_hand
        there = [url for url in self.before.sources if url not in self.gone]
        for position in range(len(self.subject.layout.fragments)):
            if position not in cared_for:
                # Nobody is asked to take it but those who were named, where some were.
                self._add(
                    Repair(position, "", self._to(position) or self._by_room(position, there))
                )

    def damaged(self, url: str, position: int) -> Repair:
        """A copy turned out to be damaged: where it is to be restored."""
        self.good.discard((url, position))
        return Repair(position, url, (url, *(u for u in self._to(position) if u != url)))

    def _consider(self, finding: CopyFinding) -> None:
        url, position, to = finding.source, finding.position, self.subject.to
        if not _gone(finding):
            self._add(self.damaged(url, position))
        elif position >= 0 and finding.expected:
            targets = tuple(u for u in self._to(position) if u != url)
            if targets:
                self._add(Repair(position, url, targets))
            else:
                self.unwritten.append(Unwritten(url, finding.fragment, finding.detail))
        elif not to:
            self.unwritten.append(Unwritten(url, finding.fragment, finding.detail))
        elif position < 0 and url not in to:
            self.dropped.append(url)

    def _add(self, want: Repair) -> None:
        self.wants.append(want)
        if want.targets:
            self._hold(want.targets[0], want.position)
            self._taken.add((want.targets[0], want.position))

    def _hold(self, url: str, position: int) -> None:
        if position not in self._held[url]:
            self._held[url].add(position)
            self._kin[url, self.subject.layout.set_of[position]] += 1

    def _to(self, position: int) -> tuple[str, ...]:
        return self._by_room(position, self.subject.to)

    def _by_room(self, position: int, urls: tuple[str, ...] | list[str]) -> tuple[str, ...]:
        """Sources, those first that have a copy to spare, or little of its set, or little."""
        layout = self.subject.layout

        def load(url: str) -> tuple[bool, bool, bool, int, int]:
            number = layout.set_of[position]
            kin = self._kin[url, number] if number >= 0 else 0
            # One copy cannot stand for two; but an earlier repair, interrupted, may have left one.
            copy = (url, position)
            spare = copy in self._taken, copy not in self.good
            return url in self.gone, *spare, kin, len(self._held[url])

        return tuple(nsmallest(_MOST_TARGETS, urls, key=load))


def _gone(finding: CopyFinding) -> bool:
    return finding.state.out_of_reach and finding.size is None
