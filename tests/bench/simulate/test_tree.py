"""A tree of relays: what each level sends, and when the last client has the file."""

from __future__ import annotations

import pytest
from bench.simulate.tree import Tree

MIB = 1 << 20


@pytest.mark.parametrize("shape", [[4], [1, 20], [3, 4, 10]])
def test_each_level_sends_what_stands_below_it_needs(shape: list[int]) -> None:
    tree = Tree(shape, 24 * MIB, relay=1e8, piece=MIB // 2)
    tree.run()
    width, needed = 1, []
    for below in shape:
        width *= below
        needed.append(width)
    assert tree.copies == pytest.approx(needed, rel=0.01)
    assert len(tree.ends) == width
    assert 1 <= max(tree.ends) / tree.ideal <= 1.5


def test_pieces_are_passed_on_before_the_file_is_whole() -> None:
    """Five levels take less than twice the time of two: it would be two and a half times."""
    ends = []
    for shape in ([1, 1], [1, 1, 1, 1, 1]):
        tree = Tree(shape, 48 * MIB, origin=9e6, relay=3e6, piece=MIB // 4)
        tree.run()
        ends.append(max(tree.ends))
    assert ends[0] < ends[1] < 2 * ends[0]
