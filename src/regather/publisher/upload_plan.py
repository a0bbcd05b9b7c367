"""Which target gets what, how many of them may be lost, and what happens where one is.

No I/O. Targets are numbers, fragments are positions in the layout.
"""

from __future__ import annotations

from collections.abc import Iterable

from regather.coding.placement import losses_asked, losses_borne, spread
from regather.coding.survival import Survival, set_survival, survival
from regather.errors import UsageError
from regather.model import Layout


class UploadPlan:
    """The placement as it is meant, changed where targets are lost on the way."""

    def __init__(
        self, layout: Layout, targets: int, replicas: int, survive: int | None, *, force: bool
    ) -> None:
        """Raises UsageError where fewer losses can be borne than ``survive``, unless ``force``."""
        if replicas < 1:
            raise UsageError(f"replicas must be 1 or more, not {replicas}")
        if replicas > targets:
            raise UsageError(
                f"{replicas} replicas need at least this number of targets, not {targets}",
                help=f"add targets with --to, or use --replicas {targets} or fewer",
            )
        self.layout = layout
        self.holders = [set(places) for places in spread(layout, targets, replicas)]
        """By fragment: the targets that it goes to."""
        self.unplaced: list[int] = []
        """Fragments, once for each copy that no target could be found for."""
        self._closed: set[int] = set()
        self._targets = targets
        self._loads = [0] * targets  # bytes that each gets
        for fragment, places in enumerate(self.holders):
            for place in places:
                self._loads[place] += layout.fragments[fragment].size
        self.demanded = losses_borne(
            layout,
            self.holders,
            targets,
            replicas,
            survive,
            force=force,
            noun="target",
            more=lambda further: f"add {further} more with --to",
        )
        """Losses that the placement must be able to bear."""
        self.short = losses_asked(layout, replicas, survive) - self.demanded
        """Losses that were asked for beyond those: only with ``force``."""

    def survival(self) -> Survival:
        """How many targets may be lost as things stand."""
        return survival(self.layout, self.holders)

    @property
    def load(self) -> int:
        """Bytes that all targets together get."""
        return sum(self._loads)

    def held_by(self, target: int) -> list[int]:
        """The fragments that go to a target."""
        return [f for f, places in enumerate(self.holders) if target in places]

    def lose(self, target: int, fragments: Iterable[int]) -> list[tuple[int, int]]:
        """Take ``fragments`` from a target that gets nothing more; returns (fragment, new target).

        One goes to a target that has none of its set, else to the one that has fewest, as long
        as the set still bears the losses demanded; what has no place is in ``unplaced``.
        """
        self._closed.add(target)
        moved: list[tuple[int, int]] = []
        groups: dict[int, list[int]] = {}
        for fragment in fragments:
            if target in self.holders[fragment]:
                self._remove(fragment, target)
                number = self.layout.set_of[fragment]
                groups.setdefault(number if number >= 0 else ~fragment, []).append(fragment)
        for group in groups.values():
            moved += self._place(group)
        return moved

    def _place(self, group: list[int]) -> list[tuple[int, int]]:
        """Place one copy more of these fragments, which are of one set or one without any."""
        apart: list[tuple[int, int]] = []
        close: list[tuple[int, int]] = []
        for fragment in group:
            crowd = self._crowd(fragment)
            free = [
                t
                for t in range(self._targets)
                if t not in self._closed and t not in self.holders[fragment]
            ]
            if not free:
                self.unplaced.append(fragment)
                continue
            best = min(free, key=lambda t: (crowd.get(t, 0), self._loads[t], t))
            (close if crowd.get(best) else apart).append((fragment, best))
            self.holders[fragment].add(best)
            self._loads[best] += self.layout.fragments[fragment].size
        if close and self._bears(group[0]) < self.demanded:
            for fragment, place in close:
                self._remove(fragment, place)
                self.unplaced.append(fragment)
            close = []
        return apart + close

    def _members(self, fragment: int) -> tuple[tuple[int, ...], int]:
        """The fragments of its set, and how many of them are needed."""
        number = self.layout.set_of[fragment]
        if number < 0:
            return (fragment,), 1
        found = self.layout.sets[number]
        return (*found.data, *found.parity), len(found.data)

    def _bears(self, fragment: int) -> int:
        members, k = self._members(fragment)
        return set_survival([self.holders[f] for f in members], k).failures

    def _crowd(self, fragment: int) -> dict[int, int]:
        count: dict[int, int] = {}
        for member in self._members(fragment)[0]:
            for place in self.holders[member]:
                count[place] = count.get(place, 0) + 1
        return count

    def _remove(self, fragment: int, target: int) -> None:
        self.holders[fragment].discard(target)
        self._loads[target] -= self.layout.fragments[fragment].size
