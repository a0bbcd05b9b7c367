"""How many fragments there were, where an earlier run was not finished and nobody says how many.

The number follows from that of the targets. So one more ``--to``, which is what helps where a
target is full, would cut the file anew, and all that stands at the others would be in the way.
"""

from __future__ import annotations

from collections.abc import Sequence

from regather.publisher.targets import PublishTarget, at_each


def earlier_count(targets: Sequence[PublishTarget], size: int, parity: int) -> int | None:
    """Into how many equal fragments the file was cut that stand at the targets; None: unknown.

    Only sizes are asked for, of the fragments that each target got first. What stands there is
    read and hashed later, so a wrong guess replaces nothing.
    """
    sizes: dict[int, int] = {}

    def ask(target: PublishTarget) -> None:
        with target.open() as store:
            for position, name in _names(targets.index(target), parity):
                stat = store.store.stat(name)  # once: whoever looks closer asks again
                if stat is not None and stat.size:
                    sizes[position] = stat.size

    at_each(targets, ask, lambda target, error: None)  # whoever looks closer will report it
    return matching(size, sizes, len(targets) - parity)


def _names(number: int, parity: int) -> list[tuple[int, str]]:
    """What a target had first, with its position: parity is as long as the first fragment."""
    data = [(number, f"file_fragment_{number + 1}.dat")]
    return [*data, (0, "file_parity_1_1.dat")] if parity and number else data


def matching(size: int, sizes: dict[int, int], most: int) -> int | None:
    """Which number of equal fragments, ``most`` at most, gives those sizes, by position."""
    if not sizes or not size:
        return None
    longest = max(sizes.values())
    # With fewer they are longer, with more shorter: these few numbers are all that there can be.
    for count in range(-(-size // (longest + 1)), min(most, size // max(longest - 1, 1), size) + 1):
        each, extra = divmod(size, count)
        if all(n < count and each + (n < extra) == found for n, found in sizes.items()):
            return count
    return None
