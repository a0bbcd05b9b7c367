"""Re-create what is missing or corrupt: rebuild, store, verify, and tell the manifest last.

A fragment is rebuilt row by row into a temporary file, since whoever stores it wants its hash
first. It gets its name at a source only when it is there whole, so this may end at any moment, and
run twice at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from pathlib import Path
from typing import TYPE_CHECKING

from regather.names import texts
from regather.sources.settings import Settings, transport_options, trust_rules
from regather.tasks import pool, run_apart
from regather.transport import Failure, RequestFailed
from regather.transport.stores.retrying import RetryingStore, RetryPolicy
from regather.upkeep.inspection import examine
from regather.upkeep.manifest_update import Announcement, announce
from regather.upkeep.repair_plan import Repair, Wants
from regather.upkeep.report import Lost, RepairReport, Restored, Unwritten
from regather.upkeep.rows import Copies, RowMaker
from regather.upkeep.sources import open_subject
from regather.upkeep.staging import Staged, fits, scratch

if TYPE_CHECKING:
    from regather.trust.secret_key import SecretKey

OnPhase = Callable[[str, int, int], None]
"""Called with a phase (``checking``, ``repairing``), bytes done and in all.

Not always in the thread of the caller.
"""
_READERS = 8


def repair(
    manifest: str | Path,
    *,
    servers: Sequence[str | Path] = (),
    to: Sequence[str | Path] = (),
    quick: bool = False,
    temp: str | Path | None = None,
    dry_run: bool = False,
    sign_with: SecretKey | None = None,
    settings: Settings | None = None,
    on_progress: OnPhase | None = None,
) -> RepairReport:
    """Restore every missing or corrupt fragment, and verify it after it is stored.

    - ``manifest``: a path or URL.
    - ``servers``: more sources, as for ``download``.
    - ``to``: URLs or folders for fragments that cannot return to their source. The manifest is then
      updated everywhere.
    - ``quick``: does not read copies of the right size unless they are needed. By default every
      copy is read and hashed.
    - ``dry_run``: checks copies, but changes nothing. The report contains the planned repairs.
    - ``temp``: a folder with space for one fragment.
    - ``sign_with``: signs the manifest again if its sources change. Without it, a signed manifest
      is not changed.
    - ``settings``: only the fields for servers and trust are used.

    A repair can be interrupted at any time and called again. Raises UsageError, ManifestError,
    TransportError (the manifest is not available), NotEnoughSourcesError (no source is given) or
    StorageError (not enough space in ``temp``). All other problems are in the report.
    """
    began = time.monotonic()
    settings = settings or Settings(retries=2)
    policy = RetryPolicy(transport_options(settings), settings.retries)
    trust = trust_rules(settings)
    subject = open_subject(manifest, texts(servers), texts(to), policy, trust)
    on_phase = on_progress or (lambda phase, done, total: None)

    def checking(done: int, total: int) -> None:
        on_phase("checking", done, total)

    before = examine(subject, policy, float(not quick), None, checking)
    work = _RepairRun(Wants(subject, before), policy, temp, on_phase, sign_with)
    announcement = work.preview() if dry_run else run_apart(work.carry_out, policy.scope.cancel)
    unwritten = (*work.unwritten, *announcement.unwritten)
    lost = tuple(work.lost[p] for p in sorted(work.lost))
    return RepairReport(
        status="lost" if lost else "incomplete" if unwritten else "healthy",
        before=before,
        restored=tuple(work.restored),
        unwritten=unwritten,
        lost=lost,
        manifests=announcement.written,
        notes=(*before.notes, *work.notes, *announcement.notes),
        decoded=work.decoded,
        seconds=time.monotonic() - began,
        dry_run=dry_run,
    )


class _RepairRun:
    def __init__(
        self,
        wants: Wants,
        policy: RetryPolicy,
        temp: str | Path | None,
        on_phase: OnPhase,
        key: SecretKey | None,
    ) -> None:
        self._layout = wants.subject.layout
        self._wants = wants
        self._policy = policy
        self._temp = None if temp is None else str(temp)
        self._on_phase = on_phase
        self._key = key
        self._copies = Copies(self._layout, wants.before.findings, policy)
        self._stores: dict[str, RetryingStore] = {}
        self._refusing: dict[str, str] = {}
        self._moves: dict[tuple[str, int], str] = {}
        self._done = 0
        self._total = 0
        self.unwritten = list(wants.unwritten)
        self.restored: list[Restored] = []
        self.notes: list[str] = []
        self.decoded = 0
        self.lost: dict[int, Lost] = {item.position: item for item in wants.before.lost}

    def preview(self) -> Announcement:
        """Note what would follow by the check alone, if every first target takes its fragment."""
        for want in self._wants.wants:
            if want.position in self.lost:
                continue
            if not want.targets:
                self._give_up(want, ())
            elif (want.targets[0], want.position) not in self._wants.good:
                self._note_restored(want, want.targets[0])
        return Announcement()

    def carry_out(self) -> Announcement:
        """All of it; to be ended by its scope."""
        try:
            self._restore_all()
            restored = [r.source for r in self.restored]
            policy, key = self._policy, self._key
            return announce(self._wants, self._moves, restored, self._store, policy, key)
        finally:
            self._copies.rest()
            for store in self._stores.values():
                store.close()

    def _restore_all(self) -> None:
        """Restore all that is wanted, and what turns out to be damaged on the way."""
        pending = self._wants.wants
        with pool(_READERS, "regather-repair") as threads:
            try:
                while pending:
                    for want in pending:
                        self._total += 2 * self._layout.fragments[want.position].size
                    for group in self._groups(pending):
                        self._restore(group, threads)
                    found = self._copies.discovered()
                    pending = [self._wants.damaged(url, position) for url, position in found]
            except BaseException:
                self._policy.scope.cancel()
                raise

        if self.lost:  # these may be the reason
            for (url, position), why in self._copies.failures.items():
                name = self._layout.fragments[position].name
                self.unwritten.append(Unwritten(url, name, f"could not be read: {why}"))

    def _groups(self, wants: Iterable[Repair]) -> Iterable[list[Repair]]:
        """Wants that share their rows: those of a set, where there is room for all at once."""
        by_set: dict[int, dict[int, list[Repair]]] = {}
        for want in wants:
            number = self._layout.set_of[want.position]
            key = number if number >= 0 else -1 - want.position
            by_set.setdefault(key, {}).setdefault(want.position, []).append(want)
        for group in by_set.values():
            size = sum(self._layout.fragments[p].size for p in group)
            members = [want for wants in group.values() for want in wants]
            if len(group) == 1 or fits(self._temp, size):
                yield members
            else:
                yield from group.values()

    def _restore(self, wants: Sequence[Repair], pool: Executor) -> None:
        open_wants = [want for want in wants if not self._settled(want)]
        positions = sorted({want.position for want in open_wants})
        if not positions:
            return
        staged: dict[int, Staged] = {}
        try:
            for position in positions:
                staged[position] = Staged(self._temp, self._layout.fragments[position].size)
            self._rebuild(staged, pool)
            for position, fragment in staged.items():
                self.lost.pop(position, None)
                if fragment.lost:
                    name = self._layout.fragments[position].name
                    self.lost[position] = Lost(name, position, tuple(fragment.lost))
            for want in open_wants:
                if want.position not in self.lost:
                    self._deliver(want, staged[want.position])
        finally:
            self._copies.rest()
            for fragment in staged.values():
                fragment.close()

    def _settled(self, want: Repair) -> bool:
        """Whether a want needs no bytes: a target has a good copy, or none takes any."""
        if want.targets and (want.targets[0], want.position) in self._wants.good:
            self._note_move(want, want.targets[0])
            return True
        if all(url in self._refusing for url in want.targets):
            self._give_up(want, [self._refusing[url] for url in want.targets])
            return True
        return False

    def _rebuild(self, staged: dict[int, Staged], pool: Executor) -> None:
        layout = self._layout
        number = layout.set_of[min(staged)]
        members = list(staged)
        if number >= 0:
            members = [*layout.sets[number].data, *layout.sets[number].parity]
        room = max(layout.length(p, 0) if layout.pieces_of(p) else 0 for p in members)
        memory = scratch(self._temp, room * len(members))
        slots = {p: memory[i * room : (i + 1) * room] for i, p in enumerate(members)}
        maker = RowMaker(layout, self._copies, pool, number)
        for row in range(max(map(layout.pieces_of, staged))):
            want = [p for p in staged if row < layout.pieces_of(p)]
            got = maker.make(row, want, slots)
            for position in want:
                length = layout.length(position, row)
                if position not in got:
                    staged[position].lost.append(row)
                elif not staged[position].lost:
                    staged[position].append(slots[position][:length])
                self._advance(length)
        self.decoded += maker.decoded

    def _deliver(self, want: Repair, staged: Staged) -> None:
        fragment = self._layout.fragments[want.position]
        reasons = []
        for url in want.targets:
            if (url, want.position) in self._wants.good:
                self._note_move(want, url)
                return
            if url in self._refusing:
                reasons.append(self._refusing[url])
                continue
            try:
                self._store(url).put(fragment.name, fragment.size, staged.read, staged.digest())
            except RequestFailed as failed:
                if failed.failure is Failure.ABORTED:
                    raise
                if failed.failure in (Failure.FORBIDDEN, Failure.UNREACHABLE, Failure.TIMEOUT):
                    self._refusing[url] = failed.what
                reasons.append(failed.what)
                continue
            self._wants.good.add((url, want.position))
            self._note_restored(want, url)
            self._note_move(want, url)
            self._advance(fragment.size)
            return
        self._give_up(want, reasons)

    def _note_restored(self, want: Repair, url: str) -> None:
        fragment = self._layout.fragments[want.position]
        moved_from = want.home if want.home != url else ""
        self.restored.append(Restored(url, fragment.name, fragment.size, moved_from))

    def _note_move(self, want: Repair, url: str) -> None:
        if want.home == url:
            return
        if url in (to for (_, position), to in self._moves.items() if position == want.position):
            name = self._layout.fragments[want.position].name
            self.notes.append(f"{name} has fewer copies now: give one more source with --to")
        self._moves[(want.home, want.position)] = url

    def _give_up(self, want: Repair, reasons: Sequence[str]) -> None:
        name = self._layout.fragments[want.position].name
        where = want.home or ", ".join(want.targets)
        why = "; ".join(dict.fromkeys(reasons)) or "no source accepts it"
        self.unwritten.append(Unwritten(where, name, why))

    def _store(self, url: str) -> RetryingStore:
        if url not in self._stores:
            self._stores[url] = RetryingStore(url, self._policy)
        return self._stores[url]

    def _advance(self, count: int) -> None:
        self._done += count
        self._on_phase("repairing", min(self._done, self._total), self._total)
