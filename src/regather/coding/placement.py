"""Where fragments go: no two of an erasure set, and no two replicas, together if avoidable."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from regather.coding.survival import shared, survival
from regather.errors import UsageError
from regather.model import Layout
from regather.units import counted

_MOST_TRIED = 64
"""Further places that a message may ask for."""


def losses_borne(
    layout: Layout,
    copies: Sequence[Collection[int]],
    places: int,
    replicas: int,
    survive: int | None,
    *,
    force: bool,
    noun: str,
    more: Callable[[int], str],
) -> int:
    """How many places may be lost, of those that were asked for: ``survive``, or what parity means.

    Raises UsageError where that is less than was asked for, unless ``force``; ``noun`` is what a
    place is, and ``more`` says how to get so many more.
    """
    if survive is not None and survive < 0:
        raise UsageError(f"the number of losses to survive must not be negative: {survive}")
    asked = losses_asked(layout, replicas, survive)
    planned = survival(layout, copies)
    if planned.failures >= asked or force:
        return min(asked, planned.failures)
    help = f"add --parity {asked} or --replicas {asked + 1}"
    parity = _parity(layout)
    # Beyond this no number of places helps: so few losses can be of all copies that matter.
    hopeless = asked >= (parity + 1) * replicas
    for further in range(1, 1 if hopeless else _MOST_TRIED):
        if survival(layout, spread(layout, places + further, replicas)).failures >= asked:
            help = more(further)
            break
    apart = places - parity  # data fragments of a set whose members share no place
    if 1 < apart < max((len(s.data) for s in layout.sets), default=0) and asked <= parity:
        help += f", or --set-size {apart}"
    raise UsageError(
        f"this placement survives the loss of {'exactly' if planned.exact else 'at least'} "
        f"{planned.failures} of {counted(places, noun)}, not of {asked}",
        help=f"{help}, or --survive {planned.failures}, or --force",
    )


def losses_asked(layout: Layout, replicas: int, survive: int | None) -> int:
    """How many places may be lost as the user wants it: ``survive``, or what parity means."""
    return max(_parity(layout), replicas - 1) if survive is None else survive


def _parity(layout: Layout) -> int:
    return max((len(s.parity) for s in layout.sets), default=0)


def crowding(layout: Layout, copies: Sequence[Collection[int]], places: int, noun: str) -> str:
    """The warning where some places hold more than one fragment of an erasure set, else empty."""
    count = len(shared(layout, copies))
    if not count:
        return ""
    return (
        f"{count} of {counted(places, noun)} {'holds' if count == 1 else 'hold'} more than "
        f"one fragment of an erasure set: more {noun}s would survive more losses"
    )


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
