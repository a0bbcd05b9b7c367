"""Placement: what is promised, what is refused, and what happens where a target is lost."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regather.coding.placement import crowding
from regather.errors import UsageError
from regather.model import Layout
from regather.publisher.upload_plan import UploadPlan
from regather.splitter.geometry import fragment_sizes, layout_of


def layout(data: int, parity: int = 0, set_size: int = 0) -> Layout:
    return layout_of(10**6, fragment_sizes(10**6, data, None), parity, set_size)


def bears(plan: UploadPlan, targets: int, losses: int) -> bool:
    """By trying all: whether any ``losses`` targets may go."""
    groups = [((*s.data, *s.parity), len(s.data)) for s in plan.layout.sets]
    groups += [((f,), 1) for f, s in enumerate(plan.layout.set_of) if s < 0]
    return all(
        sum(bool(plan.holders[f] - set(lost)) for f in members) >= k
        for lost in combinations(range(targets), min(losses, targets))
        for members, k in groups
    )


@given(
    st.integers(1, 6),
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(1, 8),
    st.integers(1, 3),
    st.data(),
)
def test_what_is_promised_holds(
    data: int, parity: int, set_size: int, targets: int, replicas: int, drawn: st.DataObject
) -> None:
    made = layout(data, parity, set_size if parity else 0)
    try:
        plan = UploadPlan(made, targets, replicas, None, force=False)
    except UsageError:
        if replicas <= targets:
            forced = UploadPlan(made, targets, replicas, None, force=True)
            assert not bears(forced, targets, max(parity, replicas - 1))
        return
    assert plan.demanded == max(parity, replicas - 1)
    assert bears(plan, targets, plan.demanded)
    for lost in drawn.draw(st.lists(st.integers(0, targets - 1), unique=True, max_size=targets)):
        before = sum(map(len, plan.holders)) + len(plan.unplaced)
        moved = plan.lose(lost, plan.held_by(lost))
        assert not any(lost in places for places in plan.holders)
        assert all(place in plan.holders[fragment] for fragment, place in moved)
        assert sum(map(len, plan.holders)) + len(plan.unplaced) == before
        if not plan.unplaced:
            assert bears(plan, targets, plan.demanded)


def test_one_target_more_takes_what_is_lost() -> None:
    plan = UploadPlan(layout(4, 2), 7, 1, None, force=False)
    (fragment,) = plan.held_by(2)
    assert plan.lose(2, [fragment]) == [(fragment, 6)]
    assert not plan.unplaced
    assert not crowding(plan.layout, plan.holders, 7, "target")


def test_separation_goes_before_completeness() -> None:
    plan = UploadPlan(layout(4, 2), 6, 1, None, force=False)
    assert plan.lose(2, plan.held_by(2)) == []
    assert len(plan.unplaced) == 1
    content = UploadPlan(layout(4, 2), 6, 1, 1, force=False)
    assert len(content.lose(2, content.held_by(2))) == 1
    assert not content.unplaced


@pytest.mark.parametrize(
    ("made", "targets", "replicas", "survive", "says"),
    [
        (layout(4, 2), 3, 1, None, "exactly 1 of 3 targets, not of 2; add 3 more"),
        (layout(4, 1), 3, 1, None, "not of 1; add 2 more with --to, or --set-size 2"),
        (layout(4, 2), 6, 1, 3, "exactly 2 of 6 targets, not of 3; add --parity 3"),
        (layout(3), 3, 1, 1, "exactly 0 of 3 targets, not of 1; add --parity 1 or --replicas 2"),
        (layout(3), 2, 3, None, "3 replicas need at least this number of targets"),
        (layout(3), 2, 0, None, "replicas must be 1 or more"),
        (layout(3), 2, 1, -1, "must not be negative"),
    ],
)
def test_refusals(
    made: Layout, targets: int, replicas: int, survive: int | None, says: str
) -> None:
    with pytest.raises(UsageError) as caught:
        UploadPlan(made, targets, replicas, survive, force=False)
    assert says in str(caught.value)
