from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regather.errors import UsageError
from regather.server.faults import Decision, Fault, FaultKind, decide, parse_fault, refuses


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("refuse", Fault(FaultKind.REFUSE)),
        ("error:503", Fault(FaultKind.ERROR, status=503)),
        ("error:429@0.25", Fault(FaultKind.ERROR, status=429, probability=0.25)),
        ("reset@1", Fault(FaultKind.RESET)),
        ("stall@0", Fault(FaultKind.STALL, probability=0)),
        ("slow:20MB", Fault(FaultKind.SLOW, rate=20_000_000)),
        ("slow:1.5MiB@10s", Fault(FaultKind.SLOW, rate=3 << 19, after=10)),
        ("truncate@.5", Fault(FaultKind.TRUNCATE, probability=0.5)),
        ("corrupt@0.01", Fault(FaultKind.CORRUPT, probability=0.01)),
        ("die@2.5s", Fault(FaultKind.DIE, after=2.5)),
    ],
)
def test_reads_what_is_documented(spec: str, fault: Fault) -> None:
    assert parse_fault(spec) == fault


@pytest.mark.parametrize(
    "spec",
    [
        *("", "explode", "refuse:1", "Reset", "error", "error:200", "error:600", "error:5x3"),
        *("error:٥٠٣", "slow", "slow:", "slow:0", "slow:fast", "reset@", "reset@2", "reset@1.5"),
        *("reset@-1", "reset@10", "reset@10m", "reset@nan", "reset@1e-1", "die@s", "reset@0.1@2s"),
    ],
)
def test_a_bad_spec_is_named_together_with_the_valid_ones(spec: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_fault(spec)
    assert repr(spec) in caught.value.what
    for kind in FaultKind:
        assert kind in caught.value.help


seeds = st.integers(0, 2**64)
numbers = st.integers(0, 10**6)


@given(seeds, numbers, st.floats(0, 1))
def test_decisions_depend_on_seed_place_and_number_alone(
    seed: int, number: int, probability: float
) -> None:
    faults = (
        Fault(FaultKind.STALL, probability=0),
        Fault(FaultKind.RESET, probability=probability),
    )
    once = decide(faults, seed, number, 0)
    for other in range(5):
        decide(faults, seed, other, 1)
    assert decide(faults, seed, number, 99) == once


@given(st.integers(0, 1 << 50), st.floats(0, 1, exclude_max=True))
def test_strikes_inside_the_body(length: int, spot: float) -> None:
    decision = Decision(Fault(FaultKind.RESET), spot)
    assert length // 4 <= decision.cut(length) <= length * 3 // 4 + 1
    if length:
        assert decision.cut(length) < length
        assert 0 <= decision.flip(length) < length


def test_a_probability_is_met_over_many_requests() -> None:
    faults = [parse_fault("reset@0.1")]
    hit = [number for number in range(10_000) if decide(faults, 7, number, 0).fault]
    assert 850 < len(hit) < 1150
    assert hit != [number for number in range(10_000) if decide(faults, 8, number, 0).fault]
    spots = [decide(faults, 7, number, 0).spot for number in hit]
    assert min(spots) < 0.1
    assert max(spots) > 0.9


def test_equal_faults_in_different_places_draw_differently() -> None:
    two = [parse_fault("stall@0.5"), parse_fault("stall@0.5")]
    assert any(not decide(two[:1], 1, n, 0).fault and decide(two, 1, n, 0).fault for n in range(99))


def test_the_first_that_fires_wins_and_slow_adds_to_it() -> None:
    specs = ("slow:1MB", "stall@0.5", "corrupt", "slow:2MB@5s", "error:503", "refuse", "die@1s")
    faults = tuple(map(parse_fault, specs))
    seen = set()
    for number in range(50):
        decision = decide(faults, 3, number, elapsed=2)
        assert decision.fault is not None
        seen.add(decision.fault.kind)
        assert decision.slow == (0,)
        assert decide(faults, 3, number, elapsed=5).slow == (0, 3)
    assert seen == {FaultKind.STALL, FaultKind.CORRUPT}


def test_a_time_is_when_it_begins() -> None:
    faults = (parse_fault("error:500@10s"),)
    assert decide(faults, 0, 0, 9.99).fault is None
    assert decide(faults, 0, 1, 10).fault == faults[0]
    assert decide(faults, 0, 2, 1000).fault == faults[0]


def test_without_faults_nothing_happens() -> None:
    assert decide((), 0, 0, 0) == Decision()
    assert not refuses((), 0, 0, 0)


def test_refusing_is_decided_per_connection() -> None:
    faults = [parse_fault("reset"), parse_fault("refuse@0.5")]
    refused = [refuses(faults, 5, number, 0) for number in range(1000)]
    assert 400 < sum(refused) < 600
    assert refused == [refuses(faults, 5, number, 0) for number in range(1000)]
    later = [parse_fault("refuse@3s")]
    assert [refuses(later, 0, 0, elapsed) for elapsed in (2.9, 3)] == [False, True]
