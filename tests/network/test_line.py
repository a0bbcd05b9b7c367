"""What a link does to packets, in virtual time."""

from __future__ import annotations

from tests.support.network.line import MTU, Line, LinkSettings

FULL = bytes(MTU)
MBIT = 1e6


def test_a_packet_takes_its_time_on_the_wire_and_the_delay() -> None:
    line = Line(LinkSettings(12 * MBIT, rtt=0.1), 1)  # 1500 bytes are 12,000 bits: 1 ms
    line.enter(FULL, 5.0)
    assert abs(line.flying[0][0] - 5.051) < 1e-9


def test_packets_queue_behind_each_other_at_the_rate() -> None:
    line = Line(LinkSettings(12 * MBIT, rtt=0.1, buffer=MTU * 100), 1)
    for _ in range(50):
        line.enter(FULL, 5.0)
    dues = [due for due, _ in line.flying]
    assert all(abs(due - (5.051 + n / 1000)) < 1e-9 for n, due in enumerate(dues))


def test_what_finds_the_queue_full_is_dropped_and_room_comes_back_with_time() -> None:
    line = Line(LinkSettings(12 * MBIT, rtt=0.1, buffer=MTU * 10), 1)
    for _ in range(100):
        line.enter(FULL, 5.0)
    assert len(line.flying) in {10, 11}
    assert line.count.overflowed == 100 - len(line.flying)
    before = len(line.flying)
    line.enter(FULL, 5.005)
    assert len(line.flying) == before + 1


def test_the_queue_holds_a_bandwidth_delay_product_but_64_packets_at_least() -> None:
    assert LinkSettings(100 * MBIT, rtt=0.02).queue == 250_000
    assert LinkSettings(1 * MBIT, rtt=0.3).queue == 64 * MTU


def test_losses_come_at_the_given_share_and_again_with_the_same_seed() -> None:
    def lost(seed: int) -> list[int]:
        line = Line(LinkSettings(1e12, loss=0.1), seed)
        for number in range(10_000):
            line.enter(number.to_bytes(2, "big"), number)
        got = {int.from_bytes(packet, "big") for _, packet in line.flying}
        assert len(got) + line.count.lost == 10_000
        return sorted(set(range(10_000)) - got)

    assert 800 < len(lost(1)) < 1200
    assert lost(1) == lost(1) != lost(2)


def test_jitter_delays_but_keeps_the_order() -> None:
    line = Line(LinkSettings(1e12, rtt=0.1, jitter=0.05), 1)
    for number in range(1000):
        line.enter(FULL, number / 1000)
    dues = [due for due, _ in line.flying]
    assert dues == sorted(dues)
    late = [due - number / 1000 - 0.05 for number, due in enumerate(dues)]
    assert min(late) >= 0
    assert 0.03 < max(late) < 0.0501
