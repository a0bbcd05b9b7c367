"""Losses of power: what a run may leave on the disk, and whether the same command goes on."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from regather.digest import piece_hash
from regather.hashes import HASH_SIZE
from tests.torture.disk import UNFINISHED, Recording, State, Tree, inodes_below, lay_out, tree_of
from tests.torture.harness import Work, afresh, whole_again
from tests.torture.recorder import Call, Recorder

_STORED = (b"HTTP/1.1 201", b"HTTP/1.1 204")


@dataclass(frozen=True, slots=True)
class Run:
    """A recorded run, and what stood there before and after it."""

    work: Work
    before: Tree
    after: Tree
    recording: Recording
    acknowledged: Sequence[int]
    """When a server answered that it has a file, in the order of ``work.stored``."""


def record(work: Work, recorder: Recorder, folder: Path) -> Run:
    """Run the command once."""
    afresh(work, folder)
    root = folder / "d"
    before, inodes = tree_of(root), inodes_below(root)
    outcome = work.run(recorder, folder, None, record=True)
    assert not outcome.code, outcome.errors
    calls = recorder.calls()
    sent = [at for at, call in enumerate(calls) if _is_acknowledgement(call)]
    return Run(work, before, tree_of(root), Recording(root, before, inodes, calls), sent)


def _is_acknowledgement(call: Call) -> bool:
    return call.name == "send" and call.key == "socket" and call.data.startswith(_STORED)


def states(run: Run, each: int) -> Iterator[tuple[State, str]]:
    """What may be on the disk, and what is wrong with that."""
    promises = [*run.acknowledged, run.recording.end - 1]
    for state in run.recording.states(random.Random(run.work.name), each, promises):
        yield state, _flaw(run, state)


def _flaw(run: Run, state: State) -> str:
    if run.work.cached:
        return ""  # what is in a cache is claimed, and no more
    for name, content in state.tree.items():
        right = [tree[name] for tree in (run.before, run.after) if name in tree]
        if UNFINISHED not in name and content not in right:
            return f"{name} is neither the old nor the new file"
    if state.at == run.recording.end and run.work.durable:
        lost = [name for name in run.work.final if state.tree.get(name) != run.after[name]]
        if lost:
            return f"the command had ended, and these are lost: {sorted(lost)}"
    for at, name in zip(run.acknowledged, run.work.stored, strict=False):
        if at < state.at and state.tree.get(name) != run.after[name]:
            return f"{name} was acknowledged, and is lost"
    manifests = [name for name in state.tree if name.endswith(".regather.json")]
    missing = [name for name in run.after if name.endswith(".dat") and name not in state.tree]
    if missing and any(name not in run.before for name in manifests):
        return f"there is a manifest, and {missing} are missing"
    return ""


def flaws_without_sync(run: Run, each: int) -> Iterator[str]:
    """Of each sync of the run, what is wrong without it; empty: it is one too many."""
    for recording in run.recording.without_sync():
        less = replace(run, recording=recording)
        yield next((flaw for _, flaw in states(less, each) if flaw), "")


def replayed(work: Work, recorder: Recorder, folder: Path, tree: Tree) -> str:
    """What is wrong when the same command runs after the loss of power."""
    afresh(work, folder)
    shutil.rmtree(folder / "d")
    (folder / "d").mkdir()
    lay_out(tree, folder / "d")
    return whole_again(work, folder, work.run(recorder, folder, None))


def untrue_claims(tree: Tree, name: str = "x.regather-part", piece: int = 65536) -> bool:
    """Whether the journal of a download claims a piece that is not there.

    The file has two fragments of the same size.
    """
    journal, part = tree.get(f"{name}-journal"), tree.get(name)
    if journal is None or part is None:
        return False
    half = len(part) // 2
    places = [(at, min(at + piece, half)) for at in range(0, half, piece)]
    places += [(half + start, half + stop) for start, stop in places]
    records = (journal[128 + n * HASH_SIZE : 160 + n * HASH_SIZE] for n in range(len(places)))
    return any(
        record.strip(b"\0") and record != piece_hash(part[start:stop])
        for record, (start, stop) in zip(records, places, strict=True)
    )
