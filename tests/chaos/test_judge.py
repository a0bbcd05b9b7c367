"""The judge finds what is wrong, and lets pass what is not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.chaos.clients import Outcome
from tests.chaos.judge import Seen, flaws, must_succeed, steady
from tests.chaos.schedule import (
    AttemptPlan,
    Damage,
    FilePlan,
    Kill,
    Link,
    Schedule,
    ServerPlan,
    make,
)
from tests.chaos.truth import Partial, Truth

DEST = "got.bin"
PARTS = (f"{DEST}.regather-part", f"{DEST}.regather-part-journal")
SOUND = ServerPlan("own", (1, 2, 3), (), (), 0, None, (), False)


def schedule_of(*servers: ServerPlan, attempt: AttemptPlan | None = None) -> Schedule:
    """Two data fragments of three pieces and one of parity."""
    file = FilePlan(6000, 1024, (3000, 3000), 1, 0)
    attempts = (attempt or AttemptPlan("api"),)
    return Schedule(1, file, servers, attempts, 1.0, 2, 2, None, "none", False)


def seen_of(schedule: Schedule, outcome: Outcome, content: bytes | None = None) -> Seen:
    """What a faultless client would leave: the file, or a partial with all that could be had."""
    truth = Truth.of(schedule)
    up = frozenset(range(len(schedule.servers)))
    names: tuple[str, ...] = (DEST,) if content is not None else PARTS
    seen = Seen(0, up, False, False, Partial(), outcome, Partial(), names, content, False)
    if outcome.code == 0:
        return seen
    have = {p for n in steady(schedule, seen) for p in truth.good_at(schedule.servers[n])}
    return replace(seen, after=Partial(good=frozenset(have)))


def found(schedule: Schedule, seen: Seen, old: bytes | None = None) -> str:
    return "\n".join(flaws(schedule, Truth.of(schedule), old, seen, DEST))


DONE = Outcome(0, "done", resumed=0, received=6000)
TOO_FEW = Outcome(4, "too few", missing=("file_fragment_1.dat",))


def test_the_file_is_right() -> None:
    schedule = schedule_of(SOUND)
    assert not found(schedule, seen_of(schedule, DONE, Truth.of(schedule).content))


def test_wrong_bytes() -> None:
    schedule = schedule_of(SOUND)
    content = bytearray(Truth.of(schedule).content)
    content[77] ^= 1
    assert "wrong bytes" in found(schedule, seen_of(schedule, DONE, bytes(content)))


def test_nothing_excuses_giving_up_where_a_sound_server_has_all() -> None:
    schedule = schedule_of(SOUND, replace(SOUND, faults=("reset@1",)))
    told = found(schedule, seen_of(schedule, TOO_FEW))
    assert "exit code 4, not one of [0]" in told
    assert "which a steady server has" in told


@pytest.mark.parametrize(
    "server",
    [
        replace(SOUND, faults=("error:503@0.1",)),
        replace(SOUND, link=Link(reset=0.1)),
        replace(SOUND, kills=(Kill(0, 0.5, 0.1),)),
        replace(SOUND, holds=(1,)),
        replace(SOUND, damages=(Damage(1, "lost"), Damage(2, "truncated"))),
    ],
)
def test_what_excuses_giving_up(server: ServerPlan) -> None:
    schedule = schedule_of(server)
    outcome = replace(TOO_FEW, missing=("file_fragment_2.dat",))
    assert not found(schedule, seen_of(schedule, outcome))


@pytest.mark.parametrize("server", [replace(SOUND, pace=1), replace(SOUND, link=Link(delay=1))])
def test_slowness_excuses_nothing(server: ServerPlan) -> None:
    schedule = schedule_of(server)
    seen = seen_of(schedule, TOO_FEW)
    assert must_succeed(schedule, Truth.of(schedule), seen)


def test_parity_is_counted_row_by_row() -> None:
    lost = Damage(1, "lost")
    wrong = Damage(3, "corrupt", (1,))
    schedule = schedule_of(replace(SOUND, damages=(lost,)))
    seen = seen_of(schedule, TOO_FEW)
    assert must_succeed(schedule, Truth.of(schedule), seen)
    schedule = schedule_of(replace(SOUND, damages=(lost, wrong)))
    truth = Truth.of(schedule)
    assert not must_succeed(schedule, truth, seen)
    there = replace(seen, before=Partial(good=frozenset({(0, 1)})))
    assert must_succeed(schedule, truth, there)


def test_unverified_is_excused_by_wrong_bytes_only() -> None:
    outcome = Outcome(3, "wrong bytes")
    gone = replace(SOUND, faults=("reset@1",))
    assert "exit code 3" in found(schedule_of(gone), seen_of(schedule_of(gone), outcome))
    lying = replace(SOUND, faults=("corrupt@1",))
    assert not found(schedule_of(lying), seen_of(schedule_of(lying), outcome))


def test_what_may_not_be_left_behind() -> None:
    schedule = schedule_of(SOUND)
    right = Truth.of(schedule).content
    for extra in (PARTS[0], "tmp123"):
        seen = replace(seen_of(schedule, DONE, right), names=(DEST, extra))
        assert "left behind" in found(schedule, seen)


def test_the_final_name_before_the_file_is_whole() -> None:
    schedule = schedule_of(replace(SOUND, faults=("reset@1",)))
    seen = replace(seen_of(schedule, TOO_FEW), content=b"", names=(DEST,))
    assert "final name exists" in found(schedule, seen)
    assert "wrong bytes under the final name" in found(schedule, seen)


def test_an_older_file_is_kept() -> None:
    schedule = replace(schedule_of(replace(SOUND, faults=("reset@1",))), existing="force")
    seen = replace(seen_of(schedule, TOO_FEW), content=b"old", names=(DEST, *PARTS))
    assert not found(schedule, seen, b"old")
    assert "is gone" in found(schedule, replace(seen, content=None), b"old")
    keep = replace(schedule, existing="keep")
    refused = replace(seen, outcome=Outcome(6, "is there already"))
    assert not found(keep, refused, b"old")
    assert "exit code 4" in found(keep, seen, b"old")


def test_the_state_of_a_partial() -> None:
    schedule = schedule_of(replace(SOUND, faults=("reset@1",)))
    seen = seen_of(schedule, TOO_FEW)
    lost = replace(seen, before=Partial(good=frozenset({(0, 0)})), after=Partial())
    assert "verified pieces are lost" in found(schedule, lost)
    claims = replace(seen, after=Partial(wrong_claims=frozenset({(0, 0)})))
    assert "claims what is not there" in found(schedule, claims)
    assert not found(schedule, replace(claims, torn=True))
    unverified = replace(seen, after=Partial(flaws=("the partial holds wrong bytes at 0",)))
    assert "wrong bytes at 0" in found(schedule, unverified)


def test_what_comes_twice() -> None:
    schedule = schedule_of(SOUND, attempt=AttemptPlan("api", calm=True))
    content = Truth.of(schedule).content
    before = Partial(good=frozenset({(0, 0), (0, 1)}))
    seen = replace(seen_of(schedule, DONE, content), before=before)
    assert "2048 bytes were there and right, it used 0" in found(schedule, seen)
    used = Outcome(0, "done", resumed=2048, received=6000 - 2048)
    assert not found(schedule, replace(seen, outcome=used))
    vain = replace(used, received=6000 - 2048 + 2 * 1024 + 1)
    assert "came in vain" in found(schedule, replace(seen, outcome=vain))


def test_giving_up_too_early() -> None:
    schedule = schedule_of(replace(SOUND, holds=(1,)))
    outcome = replace(TOO_FEW, missing=("file_fragment_2.dat",))
    seen = replace(seen_of(schedule, outcome), after=Partial(good=frozenset({(0, 0)})))
    assert "gave up before it had fetched [(0, 1), (0, 2)] from server 0" in found(schedule, seen)


def test_a_manifest_that_cannot_be_had() -> None:
    away = Outcome(4, "TransportError: cannot get the manifest: no", missing=("http://a/m",))
    schedule = replace(schedule_of(replace(SOUND, faults=("refuse",))), manifest_at=0)
    assert not found(schedule, seen_of(schedule, away))
    assert "exit code 1" in found(schedule, seen_of(schedule, replace(away, code=1)))
    kept = replace(seen_of(schedule, away), content=b"old", names=(DEST,))
    keep = replace(schedule, existing="keep")
    assert not found(keep, kept, b"old")
    sound = replace(keep, servers=(SOUND,))
    assert "exit code 4" in found(sound, kept, b"old")


def test_interruptions_and_full_disks() -> None:
    kill = AttemptPlan("cli", "kill")
    schedule = schedule_of(SOUND, attempt=kill)
    seen = replace(seen_of(schedule, Outcome(-9, "")), interrupted=True)
    assert not found(schedule, seen)
    assert "exit code -9" in found(schedule, replace(seen, interrupted=False))
    late = replace(
        seen_of(schedule, Outcome(-15, ""), Truth.of(schedule).content), interrupted=True
    )
    assert not found(schedule, late)
    assert "exit code -15" in found(schedule, replace(late, content=None, names=()))
    full = replace(
        seen, interrupted=False, filled=True, outcome=Outcome(1, "not enough space for 1 MiB")
    )
    assert not found(schedule, full)
    vague = replace(full, outcome=Outcome(1, "something went wrong"))
    assert "a full disk is not called one" in found(schedule, vague)


def test_schedules_are_repeatable_and_various() -> None:
    some = [make(seed) for seed in range(300)]
    assert some == [make(seed) for seed in range(300)]
    assert {s.kind for one in some for s in one.servers} == {"own", "process", "nginx"}
    assert {d.kind for one in some for s in one.servers for d in s.damages} == {
        "lost",
        "truncated",
        "corrupt",
    }
    attempts = [a for one in some for a in one.attempts]
    assert {a.disturbance for a in attempts} == {"none", "kill", "int", "term", "stop", "pause"}
    assert {a.disk for a in attempts} == {"sound", "full", "limit", "slow"}
    assert {a.tear for a in attempts} == {"none", "zero", "flip", "journal", "cut"}
    kinds = {
        f.partition("@")[0].partition(":")[0] for o in some for s in o.servers for f in s.faults
    }
    assert kinds == {"refuse", "error", "reset", "stall", "truncate", "corrupt", "die"}
    assert max(one.file.size for one in some) <= 8 << 20
    assert all(one.attempts[-1].calm for one in some)
