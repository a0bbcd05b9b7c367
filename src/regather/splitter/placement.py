"""Where fragments go: no two of an erasure set, and no two replicas, together if avoidable."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from regather.errors import UsageError
from regather.model import Layout
from regather.splitter.geometry import MAX_FRAGMENTS


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the fragments go: folders, and for each fragment the folders that get a copy."""

    folders: tuple[Path, ...]
    copies: tuple[tuple[int, ...], ...]

    @classmethod
    def plan(cls, out: Path, layout: Layout, servers: int | None, replicas: int) -> Placement:
        """Spread fragments over ``server1`` to ``serverN`` so that replicas never share one.

        Without ``servers`` all go into ``out`` itself. Raises UsageError.
        """
        count = len(layout.fragments)
        if servers is None:
            if replicas != 1:
                raise UsageError("replicas need servers", help="add --servers N")
            return cls((out,), ((0,),) * count)
        if servers < 1 or replicas < 1:
            raise UsageError("servers and replicas must be 1 or more")
        if servers > MAX_FRAGMENTS:
            raise UsageError(f"{servers} servers are more than {MAX_FRAGMENTS}")
        if replicas > servers:
            raise UsageError(
                f"{replicas} replicas cannot stand on {servers} servers without sharing one",
                help=f"use --servers {replicas} or more, or --replicas {servers} or fewer",
            )
        folders = tuple(out / f"server{n + 1}" for n in range(servers))
        return cls(folders, spread(layout, servers, replicas))


def spread(layout: Layout, places: int, replicas: int) -> tuple[tuple[int, ...], ...]:
    """The places (numbers from 0) of every fragment, by position in the layout.

    The members of an erasure set follow each other around the circle of places, so that they
    share none where there are enough; the replicas stand a whole set further where the circle is
    long enough, else next to each other.
    """
    copies: list[tuple[int, ...]] = [()] * len(layout.fragments)
    at = 0
    groups = [(*s.data, *s.parity) for s in layout.sets] or [tuple(range(len(layout.fragments)))]
    for group in groups:
        width = len(group)
        step = width if layout.sets and width * replicas <= places else 1
        for position in group:
            copies[position] = tuple((at + r * step) % places for r in range(replicas))
            at += 1
    return tuple(copies)
