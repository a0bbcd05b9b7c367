"""How much room readers have."""

from __future__ import annotations

from regather.engine.room_sizes import ReaderShare


def test_a_fair_share_leaves_as_much_for_others() -> None:
    share = ReaderShare(10, fair=True)
    assert share.take(4, 0)
    assert not share.take(2, 4)
    assert share.take(1, 4)
    assert share.take(5, 0), "one piece of each file, whatever is left for others"
    assert not share.take(1, 0)
    share.give_back(5)
    assert share.take(5, 0)


def test_one_file_alone_may_have_all() -> None:
    share = ReaderShare(10)
    assert share.take(6, 0)
    assert share.take(4, 6)
    assert not share.take(1, 10)
