"""Ask every source for every fragment that it should hold, and judge what comes."""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from os.path import isfile
from pathlib import Path
from shlex import quote

from msgspec.structs import replace

from regather.errors import RegatherError, UsageError
from regather.model import Layout
from regather.names import texts
from regather.sources.settings import Settings, transport_options, trust_rules
from regather.transport import Failure, RequestFailed, SizeUnknown
from regather.transport.stores.retrying import RetryingReader, RetryingStore, RetryPolicy, verify
from regather.units import counted
from regather.upkeep.report import CheckReport, CopyFinding, CopyState, state_of
from regather.upkeep.source_answers import Answers, Room, expected_findings
from regather.upkeep.sources import Subject, open_subject
from regather.upkeep.verdict import Verdict, judge

OnBytes = Callable[[int, int], None]
"""Called with bytes done and in all, in the thread of the caller."""
_MOST_THREADS = 32


def check(
    manifest: str | Path,
    *,
    servers: Sequence[str | Path] = (),
    read_data: float = 0.0,
    seed: int | None = None,
    settings: Settings | None = None,
    on_progress: OnBytes | None = None,
) -> CheckReport:
    """Check whether every fragment is complete, and how many more failures are tolerated.

    - ``manifest``: a path or URL.
    - ``servers``: more sources, as for ``download``.
    - ``read_data``: the share of the pieces, chosen at random, to read and hash. 0 checks presence
      and sizes only, 1 reads every byte.
    - ``seed``: repeats the choice of an earlier report.
    - ``settings``: only the fields for servers are used (time-outs, retries, cacert, tokens).

    Nothing is changed. Raises UsageError, ManifestError, TransportError (the manifest is not
    available) or NotEnoughSourcesError (no source is given).
    """
    settings = settings or Settings(retries=2)
    policy = RetryPolicy(transport_options(settings), settings.retries)
    subject = open_subject(manifest, texts(servers), (), policy, trust_rules(settings))
    return examine(subject, policy, read_data, seed, on_progress)


def examine(
    subject: Subject,
    policy: RetryPolicy,
    share: float,
    seed: int | None,
    on_progress: OnBytes | None,
) -> CheckReport:
    """See check()."""
    if not 0 <= share <= 1:
        raise UsageError(f"read_data is a share from 0 to 1, not {share}")
    began = time.monotonic()
    if seed is None:
        seed = random.SystemRandom().randrange(1 << 32)
    layout, sources = subject.layout, subject.sources
    asked = [Answers(s) for s in sources]
    room = Room()
    _at_all(len(sources), lambda number: _ask(layout, asked[number], policy, room), policy)
    findings = expected_findings(subject, asked)
    progress = _ByteCounter(layout, findings, share)
    if share:
        own = [[i for i, f in enumerate(findings) if f.source == s.url] for s in sources]

        def read(number: int) -> None:
            for i in own[number]:
                findings[i] = _read(layout, findings[i], policy, share, seed, progress.add)

        def tick() -> None:
            if on_progress is not None:
                on_progress(progress.done, progress.total)

        _at_all(len(sources), read, policy, tick)
        tick()
    verdict = judge(layout, findings, made_for=subject.manifest.survives)
    return CheckReport(
        name=subject.manifest.name,
        size=layout.size,
        digest=subject.manifest.digest,
        status=verdict.status,
        share=share,
        seed=seed,
        sources=tuple(s.url for s in sources),
        findings=tuple(findings),
        nowhere=tuple(layout.fragments[p].name for p in verdict.nowhere),
        sets=verdict.sets,
        survives=verdict.survives,
        made_for=subject.manifest.survives,
        notes=_notes(subject, verdict, [s.url for s in sources]),
        lost=verdict.lost,
        read=progress.done,
        seconds=time.monotonic() - began,
    )


def _notes(subject: Subject, verdict: Verdict, urls: Sequence[str]) -> tuple[str, ...]:
    manifest, fragments = subject.manifest, subject.layout.fragments
    notes = []
    for folder in subject.beside:
        names = [n for p in verdict.nowhere if isfile(folder + (n := fragments[p].name))]
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            notes.append(f"{folder} holds {names[0]}{more}: add --server {quote(folder)}")
    alone = len(urls) == 1 and not (manifest.sources or subject.named or subject.where.remote)
    if alone and verdict.status != "healthy":
        own = quote(urls[0])
        notes.append(
            "the manifest lists no sources, so only its own folder was checked: name every folder "
            f"and server of the file, --server {own} --server OTHER"
        )
    return tuple(notes)


def _at_all(
    count: int,
    work: Callable[[int], None],
    policy: RetryPolicy,
    tick: Callable[[], None] | None = None,
) -> None:
    """Do it for each source by its number, most at once; ``tick`` is as in ``run_all``."""
    try:
        policy.scope.run(work, range(count), "check", tick, _MOST_THREADS)
    except RequestFailed as failed:
        if failed.failure is Failure.ABORTED:
            raise RegatherError("stopped") from None
        raise


class _ByteCounter:
    def __init__(self, layout: Layout, findings: Sequence[CopyFinding], share: float) -> None:
        sizes = (layout.fragments[f.position].size for f in findings if f.size is not None)
        self.total = math.ceil(sum(sizes) * share)
        self.done = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.done += count


def _ask(layout: Layout, answers: Answers, policy: RetryPolicy, room: Room) -> None:
    """Presence and sizes at one source; asks no more once it turned out to be out of reach."""
    source = answers.source
    everything = range(len(layout.fragments))
    wanted = everything if source.fragments is None else sorted(source.fragments)
    room.take(0 if source.fragments is None else len(wanted))
    with RetryingStore(source.url, policy) as store:
        for position in wanted:
            fragment = layout.fragments[position]
            finding = CopyFinding(source.url, fragment.name, position, CopyState.UNREACHABLE, True)
            try:
                found = store.stat(fragment.name)
            except SizeUnknown as failed:  # what it has shows when it is read
                size, why = fragment.size, failed.what
                finding = replace(finding, state=CopyState.OK, size=size, detail=why)
            except RequestFailed as failed:
                if failed.failure is Failure.ABORTED:
                    raise
                finding = replace(finding, state=state_of(failed), detail=failed.what)
                if failed.failure in (Failure.UNREACHABLE, Failure.TIMEOUT):
                    answers.gone = finding
                    return
            else:
                finding = _sized(layout, finding, None if found is None else found.size, room)
            if finding.state is not CopyState.MISSING:
                room.take(1)
                answers.findings[position] = finding


def _sized(layout: Layout, finding: CopyFinding, size: int | None, room: Room) -> CopyFinding:
    wanted = layout.fragments[finding.position].size
    if size is None:
        return replace(finding, state=CopyState.MISSING)
    if size == wanted:
        return replace(finding, state=CopyState.OK, size=size)
    return replace(
        finding,
        state=CopyState.WRONG_SIZE,
        size=size,
        bad=room.all_pieces(layout.pieces_of(finding.position)),
        detail=f"has {counted(size, 'byte')}, must have {wanted}",
    )


def _read(
    layout: Layout,
    finding: CopyFinding,
    policy: RetryPolicy,
    share: float,
    seed: int,
    add: Callable[[int], None],
) -> CopyFinding:
    """Read pieces of a copy that is there and hash them."""
    if finding.size is None or not layout.pieces_of(finding.position):
        return finding
    position, size = finding.position, finding.size
    there = [
        p for p in range(layout.pieces_of(position)) if layout.span(position, p, p + 1)[1] <= size
    ]
    if share < 1:
        # The same whichever thread comes first.
        rng = random.Random(f"{seed}/{finding.source}/{finding.fragment}")
        there = sorted(rng.sample(there, math.ceil(len(there) * share)))
    bad = set(finding.bad)
    read = 0
    try:
        with RetryingReader(finding.source, finding.fragment, size, policy) as reader:
            for piece, right in verify(reader, layout, position, there, add):
                read += 1
                (bad.discard if right else bad.add)(piece)
    except RequestFailed as failed:
        if failed.failure is Failure.ABORTED:
            raise
        return replace(finding, state=state_of(failed), read=read, detail=failed.what)
    state = finding.state
    if state is CopyState.OK and bad:
        state = CopyState.CORRUPT
    return replace(finding, state=state, bad=tuple(sorted(bad)), read=read)
