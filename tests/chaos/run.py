"""Runs one schedule over real sockets and lets the judge look at it."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos import judge
from tests.chaos.clients import ApiClient, Call, CliClient, Client, Outcome
from tests.chaos.disk import SmallDisk, fill_up, slow_writes, small_disks
from tests.chaos.events import Events
from tests.chaos.leaks import files_left, open_files, threads_left
from tests.chaos.schedule import AttemptPlan, Schedule, make
from tests.chaos.servers import Place, damage
from tests.chaos.tear import tear
from tests.chaos.truth import Partial, Truth
from tests.chaos.watch import Watch
from tests.support import forked
from tests.support.files import alone
from tests.support.hosting import Hosting

_DEST = "got.bin"
_SLOWEST_WRITE = 0.008
_PORT_TRIALS = 3


@dataclass
class Result:
    """What came of one schedule."""

    seed: int
    flaws: list[str] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)
    """By attempt."""
    bound: Counter[str] = field(default_factory=Counter)
    """Attempts that nothing excused from success: ``chaos`` and ``calm``."""
    struck: Counter[str] = field(default_factory=Counter)
    """Faults that really happened, by kind."""
    size: int = 0
    fetched: int = 0
    """Bytes that servers and proxies sent."""
    seconds: float = 0.0
    hung: bool = False
    leaked: bool = False
    explained: str = ""


def run(seed: int) -> Result:
    """Run the schedule of a seed."""
    for _ in range(_PORT_TRIALS):
        try:
            return _run(make(seed))
        except (OSError, RuntimeError, AssertionError) as error:
            # Someone else took a port before we had it, and nothing was tested.
            if "in use" not in str(error):
                raise
    raise OSError("no free ports to be had")


def _run(schedule: Schedule) -> Result:
    began = time.monotonic()
    seed = schedule.seed
    result = Result(seed, size=schedule.file.size)
    forked.prepare()
    before = open_files()
    seen: list[judge.Seen] = []
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, Hosting() as hosting:
        Run(schedule, Path(folder), hosting, result, seen).to_the_end()
    if not result.hung:
        result.flaws += files_left(before)
        result.leaked = any("left open" in f or "threads" in f for f in result.flaws)
    result.seconds = time.monotonic() - began
    result.explained = judge.explain(schedule, seen)
    return result


class Run:
    """One schedule under way."""

    def __init__(
        self,
        schedule: Schedule,
        folder: Path,
        hosting: Hosting,
        result: Result,
        seen: list[judge.Seen],
    ) -> None:
        """``result`` and ``seen`` are filled as it goes on."""
        self._schedule = schedule
        self._folder = folder
        self._hosting = hosting
        self._result = result
        self._seen = seen
        self._truth = Truth.of(schedule)
        self._old = b"an older file" * 20 if schedule.existing != "none" else None
        self._disk: SmallDisk | None = None
        self._torn = False
        self._places: list[Place] = []

    def to_the_end(self) -> None:
        """All attempts, until the file is there."""
        with contextlib.ExitStack() as stack:
            self._prepare(stack)
            watch = stack.enter_context(Watch(self._dest, {self._old, self._truth.content}))
            for number, attempt in enumerate(self._schedule.attempts):
                if self._attempt(number, attempt):
                    break
        self._result.flaws += watch.flaws
        for place in self._places:
            self._result.struck += place.struck
            self._result.fetched += place.sent

    # -- before ---------------------------------------------------------------------------

    def _prepare(self, stack: contextlib.ExitStack) -> None:
        schedule, hosted = self._schedule, self._folder / "hosted"
        names = [f"server{n}" for n in range(len(schedule.servers))]
        holdings = {n: s.holds for n, s in zip(names, schedule.servers, strict=True)}
        self._manifest = alone(self._truth.made.write(hosted, holdings))
        for name, server in zip(names, schedule.servers, strict=True):
            for what in server.damages:
                fragment = self._truth.made.names[what.fragment - 1]
                damage(hosted / name / fragment, what, schedule.file.piece)
                self._result.struck[f"disk {what.kind}"] += 1
        usual = max(schedule.file.size // len(names), 1)
        self._places = [
            Place(schedule, n, hosted / name, self._hosting, usual) for n, name in enumerate(names)
        ]
        for place in self._places:
            stack.callback(place.stop)
        with ThreadPoolExecutor(len(self._places)) as pool:
            list(pool.map(Place.start, self._places))
        where = self._folder / "dest"
        where.mkdir()
        self._told = where / _DEST
        """The destination as the client is told of it."""
        if schedule.own_disk and small_disks():
            self._disk = stack.enter_context(SmallDisk(where, 1 << 20))
            where = self._disk.folder
        self._dest = where / _DEST
        if self._old is not None:
            self._dest.write_bytes(self._old)

    # -- one attempt ----------------------------------------------------------------------

    def _attempt(self, number: int, attempt: AttemptPlan) -> bool:
        """Run the client once; whether that was the last time."""
        if attempt.calm:
            with ThreadPoolExecutor(len(self._places)) as pool:
                list(pool.map(Place.mend, self._places))
        if tear(attempt.tear, self._part, self._journal, self._schedule.seed):
            self._torn = True
            self._result.struck[f"partial {attempt.tear}"] += 1
        before = self._partial()
        self._size_disk(attempt)
        up = frozenset(n for n, place in enumerate(self._places) if place.backend.up)
        client = self._start(number, attempt)
        events = Events(self._schedule, number, self._places, client, self._journal)
        ended = self._drive(client, events)
        self._result.struck += events.happened
        outcome = client.outcome() if ended else Outcome(0, "", flaw=_HANG)
        if not ended:
            self._result.hung = True
        content = None
        with contextlib.suppress(OSError):
            content = self._dest.read_bytes()
        seen = judge.Seen(
            number,
            up,
            events.interrupted,
            attempt.disk == "full" or events.filled,
            before,
            outcome,
            self._partial(),
            tuple(sorted(os.listdir(self._dest.parent))),
            content,
            self._torn,
        )
        self._seen.append(seen)
        self._result.outcomes.append(_name(attempt, seen))
        if judge.must_succeed(self._schedule, self._truth, seen):
            self._result.bound["calm" if attempt.calm else "chaos"] += 1
        found = judge.flaws(self._schedule, self._truth, self._old, seen, _DEST)
        self._result.flaws += [f"attempt {number}: {flaw}" for flaw in found]
        self._result.flaws += [f"attempt {number}: {flaw}" for flaw in threads_left()]
        return not ended or content == self._truth.content or outcome.code == judge.OCCUPIED

    @property
    def _part(self) -> Path:
        return self._dest.with_name(f"{_DEST}.regather-part")

    @property
    def _journal(self) -> Path:
        return self._dest.with_name(f"{_DEST}.regather-part-journal")

    def _partial(self) -> Partial:
        return self._truth.partial(self._part, self._journal)

    def _size_disk(self, attempt: AttemptPlan) -> None:
        if self._disk is None:
            return
        size = self._schedule.file.size
        used = os.statvfs(self._disk.folder)
        taken = (used.f_blocks - used.f_bfree) * used.f_frsize
        if attempt.disk == "full":
            self._disk.resize(max(int(size * attempt.room) + len(self._old or b""), taken))
            self._result.struck["client disk small"] += 1
        else:
            self._disk.resize(taken + 3 * size + (1 << 20))

    def _start(self, number: int, attempt: AttemptPlan) -> Client:
        schedule = self._schedule
        at = schedule.manifest_at
        manifest = str(self._manifest)
        if at is not None:
            manifest = f"{self._places[at].url}{self._manifest.name}"
        call = Call(
            manifest,
            self._told,
            [place.url for place in self._places],
            self._truth.made.manifest.digest,
            schedule.existing == "force",
            schedule.timeout,
            schedule.retries,
            schedule.connections,
        )
        if attempt.client != "cli":
            return ApiClient(call, asynchronous=attempt.client == "async")
        scratch = self._folder / f"scratch{number}"
        scratch.mkdir()
        extra = slow_writes(schedule.seed, _SLOWEST_WRITE) if attempt.disk == "slow" else {}
        if extra:
            self._result.struck["client disk slow"] += 1
        inside = self._disk.inside if self._disk is not None else []
        client = CliClient(call, scratch, before=inside, extra=extra)
        if attempt.disk == "full" and self._disk is None:
            fill_up(client.pid, int(schedule.file.size * attempt.room))
            self._result.struck["client disk full"] += 1
        return client

    def _drive(self, client: Client, events: Events) -> bool:
        """Let things happen until the client ends; False where it hangs."""
        until = time.monotonic() + deadline(self._schedule)
        while not client.wait(0.004):
            events.look()
            if time.monotonic() > until:
                faulthandler.dump_traceback()
                client.disturb("stop")
                if client.wait(20):
                    client.outcome()
                events.end()
                return False
        events.end()
        return True


_HANG = "it hangs"


def deadline(schedule: Schedule) -> float:
    """Seconds in which a client must have ended, on a machine that is busy with other things.

    From the time-outs given: every server may fail ``retries`` times in a row, with ever longer
    pauses, and start again after each piece that it brings.
    """
    row = sum(schedule.timeout + 2 + min(0.25 * 2.0**n, 10) * 1.5 for n in range(schedule.retries))
    return 60 + 6 * row


def _name(attempt: AttemptPlan, seen: judge.Seen) -> str:
    if seen.outcome.flaw == _HANG:
        return "hang"
    when = "calm" if attempt.calm else "chaos"
    names = {0: "done", 1: "failed", 3: "unverified", 4: "too few", 6: "occupied", -9: "killed"}
    what = names.get(seen.outcome.code, str(seen.outcome.code))
    if seen.outcome.code == judge.INTERRUPTED:
        what = "interrupted"
    return f"{when}: {what}"
