"""Which pieces of a packed folder need not come."""

from __future__ import annotations

import pytest

from regather.folder import Entry, Folder
from regather.model import Fragment, FragmentIndex, Layout
from regather.store.spans import Spans, survey

PIECE = 1024
# Pieces: 0 has a, 1 has the end of a and the begin of b, 2 has b, 3 belongs to no file.
FOLDER = Folder(
    (
        Entry("a", size=PIECE + 100, offset=0),
        Entry("b", size=2 * PIECE - 200, offset=PIECE + 200),
    )
)
LAYOUT = Layout(4 * PIECE, PIECE, (Fragment(FragmentIndex(1), "f", 0, 4 * PIECE),))


@pytest.mark.parametrize(
    ("wanted", "right", "there", "needed"),
    [
        ({0, 1}, set(), set(), {0, 1, 2, 3}),
        ({0, 1}, {0}, {0}, {0, 1, 2, 3}),
        ({0, 1}, {1}, {2}, {0, 1, 2, 3}),
        ({0, 1}, {0, 1}, {0, 1, 2, 3}, {0, 1, 2, 3}),
        ({0}, set(), set(), {0, 1}),
        ({1}, set(), set(), {1, 2}),
        ({0}, {0}, set(), set()),
        (set(), set(), set(), set()),
    ],
)
def test_pieces_of_right_files_and_those_that_are_wanted(
    wanted: set[int], right: set[int], there: set[int], needed: set[int]
) -> None:
    found, pieces = survey(LAYOUT, FOLDER, Spans(FOLDER), frozenset(wanted), right)
    assert (found, set(pieces)) == (there, needed)
