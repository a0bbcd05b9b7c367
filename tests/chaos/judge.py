"""Says what was wrong with a run of a client. Pure: it looks at values only."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, replace

from tests.chaos.clients import Outcome
from tests.chaos.schedule import AttemptPlan, Link, Schedule, ServerPlan
from tests.chaos.truth import Partial, Pieces, Truth

OK, FAILED, OCCUPIED, UNVERIFIED, TOO_FEW, INTERRUPTED = 0, 1, 6, 3, 4, 130


@dataclass(frozen=True, slots=True)
class Seen:
    """What was observed of one attempt."""

    number: int
    up: frozenset[int]
    """The servers that ran when it began."""
    interrupted: bool
    """Whether the client was killed or stopped before it ended; being paused is no excuse."""
    filled: bool
    """Whether its disk was, or became, too small."""
    before: Partial
    """What of the file was there when it began."""
    outcome: Outcome
    after: Partial
    names: tuple[str, ...]
    """What stands in the destination's folder afterwards."""
    content: bytes | None
    """What stands under the destination's name."""
    torn: bool
    """Whether a partial was damaged on purpose at any time before."""


def steady(schedule: Schedule, seen: Seen) -> frozenset[int]:
    """The servers that nothing was wrong with during an attempt, slowness aside."""
    attempt = schedule.attempts[seen.number]
    return frozenset(
        n
        for n, server in enumerate(schedule.servers)
        if n in seen.up
        and wrong_pieces(server) <= schedule.retries
        and (attempt.calm or _unharmed(server, seen.number))
    )


def _unharmed(server: ServerPlan, attempt: int) -> bool:
    return (
        not server.faults
        and (server.link or Link()).harmless
        and all(kill.attempt != attempt for kill in server.kills)
    )


def wrong_pieces(server: ServerPlan) -> int:
    """How many pieces a server has wrong on its disk.

    After more than ``retries`` wrong pieces in a row it is given up, as documented, although it
    may have other pieces that are good.
    """
    return sum(len(d.pieces) for d in server.damages)


def _lies(server: ServerPlan, attempt: AttemptPlan) -> bool:
    """Whether wrong bytes may come from a server."""
    if wrong_pieces(server):
        return True
    if attempt.calm:
        return False
    corrupt = any(f.startswith("corrupt") for f in server.faults)
    return corrupt or bool(server.link and server.link.flip)


def reachable(schedule: Schedule, truth: Truth, seen: Seen) -> Pieces:
    """What steady servers have, and what is there already."""
    found = set(seen.before.good)
    for n in steady(schedule, seen):
        found |= truth.good_at(schedule.servers[n])
    return frozenset(found)


def must_succeed(schedule: Schedule, truth: Truth, seen: Seen) -> bool:
    """Whether nothing of what happened excuses a failure."""
    at = schedule.manifest_at
    if seen.interrupted or seen.filled or not truth.enough(reachable(schedule, truth, seen)):
        return False
    return at is None or at in steady(schedule, seen)


def allowed_codes(schedule: Schedule, truth: Truth, seen: Seen) -> Set[int]:
    """The exit codes that what happened excuses."""
    attempt = schedule.attempts[seen.number]
    at = schedule.manifest_at
    no_manifest = at is not None and at not in steady(schedule, seen)
    if schedule.existing == "keep":
        # What is to be kept shows only when the manifest is there.
        return {OCCUPIED, TOO_FEW, UNVERIFIED} if no_manifest else {OCCUPIED}
    codes = {OK}
    if seen.filled:
        codes.add(FAILED)
    if seen.interrupted:
        codes.add(-9 if attempt.disturbance == "kill" else INTERRUPTED)
        if seen.content == truth.content:
            # All was done, and Python, about to exit, no longer listened to signals.
            codes |= {-signal.SIGINT, -signal.SIGTERM}
    undisturbed = replace(seen, interrupted=False, filled=False)
    if not must_succeed(schedule, truth, undisturbed):
        codes.add(TOO_FEW)
        if any(_lies(schedule.servers[n], attempt) for n in seen.up):
            codes.add(UNVERIFIED)
        if no_manifest:
            codes.add(UNVERIFIED)  # the manifest itself is not right
    return codes


def flaws(
    schedule: Schedule, truth: Truth, old: bytes | None, seen: Seen, dest: str
) -> Iterator[str]:
    """Everything that was wrong with an attempt; ``old`` stood at ``dest`` before, if anything."""
    outcome = seen.outcome
    if outcome.flaw:
        yield outcome.flaw
    codes = allowed_codes(schedule, truth, seen)
    if outcome.code not in codes:
        yield f"exit code {outcome.code}, not one of {sorted(codes)}"
    signalled = outcome.code < 0 or outcome.code == INTERRUPTED
    if outcome.code == OK and seen.content != truth.content:
        yield "wrong bytes: it says done, and the file is another one"
    if seen.content not in (None, old, truth.content):
        yield "wrong bytes under the final name"
    if schedule.existing != "none" and seen.content is None:
        yield "the file that stood there is gone"
    whole = outcome.code == OK or (signalled and seen.content == truth.content)
    if not whole and schedule.existing == "none" and seen.content is not None:
        yield f"the final name exists after exit code {outcome.code}"
    yield from _names(seen, dest, whole=whole)
    if not whole:
        yield from _partial(seen)
    if outcome.code == OK:
        yield from _resume(schedule, truth, seen)
    if outcome.code == FAILED and seen.filled:
        excused = "not enough space" in outcome.told or schedule.manifest_at is not None
        if not excused:
            yield "a full disk is not called one"
    no_manifest = schedule.manifest_at is not None and "cannot get the manifest" in outcome.told
    if outcome.code == TOO_FEW and not seen.interrupted and not no_manifest:
        yield from _missing(schedule, truth, seen)
    gave_up = outcome.code in (TOO_FEW, UNVERIFIED) and not seen.interrupted
    if gave_up and schedule.manifest_at is None:
        yield from _not_fetched(schedule, truth, seen)


def _names(seen: Seen, dest: str, *, whole: bool) -> Iterator[str]:
    """Nothing else than the documented names is left behind."""
    allowed = {dest, f"{dest}.regather-part", f"{dest}.regather-part-journal"}
    if whole and seen.outcome.code == OK:
        allowed = {dest}
    if other := set(seen.names) - allowed:
        yield f"left behind after exit code {seen.outcome.code}: {sorted(other)}"


def _partial(seen: Seen) -> Iterator[str]:
    """What is kept is right, and what was right is kept."""
    if not seen.torn:
        yield from seen.after.flaws
        if seen.after.wrong_claims:
            yield f"the journal claims what is not there: {sorted(seen.after.wrong_claims)[:5]}"
    if lost := seen.before.good - seen.after.good:
        yield f"verified pieces are lost after exit code {seen.outcome.code}: {sorted(lost)[:5]}"


def _resume(schedule: Schedule, truth: Truth, seen: Seen) -> Iterator[str]:
    """All that was there is used, and in calm no more than a piece a connection comes twice."""
    layout = truth.layout
    had = sum(layout.length(f, p) for f, p in seen.before.good if layout.is_data(f))
    if seen.outcome.resumed is not None and seen.outcome.resumed < had:
        yield f"{had} bytes were there and right, it used {seen.outcome.resumed}"
    if seen.outcome.received is None or not schedule.attempts[seen.number].calm:
        return
    wrong = sum(wrong_pieces(schedule.servers[n]) for n in seen.up)
    most = (schedule.connections * len(seen.up) + 2 * wrong) * layout.piece_size
    twice = seen.outcome.received - (layout.size - (seen.outcome.resumed or 0))
    if twice > most:
        yield f"{twice} bytes came in vain, {most} would be a piece a connection"


def _missing(schedule: Schedule, truth: Truth, seen: Seen) -> Iterator[str]:
    """It names what is missing, and nothing that a steady server has in full."""
    have: set[tuple[int, int]] = set()
    for n in steady(schedule, seen):
        have |= truth.good_at(schedule.servers[n])
    names = truth.made.names
    if not seen.outcome.missing:
        yield "it does not say which fragments are missing"
    for name in seen.outcome.missing:
        position = names.index(name)
        if truth.layout.is_data(position) and truth.wholly(position, have):
            yield f"it says that {name} is missing, which a steady server has"


def _not_fetched(schedule: Schedule, truth: Truth, seen: Seen) -> Iterator[str]:
    """Before it gives up it has fetched all that steady servers have of the file."""
    for n in steady(schedule, seen):
        data = {(f, p) for f, p in truth.good_at(schedule.servers[n]) if truth.layout.is_data(f)}
        if left := data - seen.after.good:
            yield f"it gave up before it had fetched {sorted(left)[:5]} from server {n}"


def explain(schedule: Schedule, seen: Iterable[Seen]) -> str:
    """A schedule and what came of it, for people."""
    lines = [f"seed {schedule.seed}: {schedule.file}"]
    lines += [f"  server {n}: {server}" for n, server in enumerate(schedule.servers)]
    lines.append(
        f"  timeout {schedule.timeout}, retries {schedule.retries}, connections "
        f"{schedule.connections}, manifest at {schedule.manifest_at}, existing "
        f"{schedule.existing}, own disk {schedule.own_disk}"
    )
    for one in seen:
        lines.append(f"  attempt {one.number}: {schedule.attempts[one.number]}")
        lines.append(
            f"    up {sorted(one.up)}, steady {sorted(steady(schedule, one))}, "
            f"interrupted {one.interrupted}, filled {one.filled}, pieces there before "
            f"{len(one.before.good)}, after {len(one.after.good)}, names {one.names}"
        )
        lines.append(f"    code {one.outcome.code}: {one.outcome.told}")
    return "\n".join(lines)
