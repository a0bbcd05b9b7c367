"""What a loss of power leaves: names that stand for what is on the disk, the manifest last."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

import regather
from regather.errors import StorageError
from regather.files import platform
from regather.splitter import writer
from tests.support.files import random_file

Event = tuple[str, str]


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    """Calls of the system that matter, in order, as they are made."""
    seen: list[Event] = []
    fsync, rename = os.fsync, os.rename

    def noted_fsync(descriptor: int) -> None:
        fsync(descriptor)
        seen.append(("sync", os.readlink(f"/proc/self/fd/{descriptor}")))

    def noted_rename(source: Any, target: Any, **options: Any) -> None:
        rename(source, target, **options)
        seen.append(("name", str(target)))

    def noted_system(descriptor: int, sync: Any = platform.sync_system) -> None:
        sync(descriptor)
        seen.append(("sync all", ""))

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    monkeypatch.setattr(writer, "sync_system", noted_system)
    return seen


def _order(events: list[Event], out: Path) -> dict[Event, int]:
    """When each happened last, names of temporary files as those to come."""
    return {
        (what, os.path.relpath(path.partition(".regather-part-")[0], out)): n
        for n, (what, path) in enumerate(events)
    }


@pytest.mark.parametrize("parity", [0, 1])
@pytest.mark.parametrize("force", [False, True])
def test_bytes_before_names_and_fragments_before_manifests(
    tmp_path: Path, events: list[Event], parity: int, force: bool
) -> None:
    path, out = random_file(tmp_path / "f", 5000), tmp_path / "new" / "out"
    options: dict[str, Any] = {"fragments": 2, "parity": parity, "servers": 3}
    if force:
        regather.split(path, out, **options)
        events.clear()
    manifest = regather.split(path, out, force=force, **options)
    when = _order(events, out)
    folders = ["server1", "server2", "server3"]
    named = [f"server{n + 1}/{f.name}" for n, f in enumerate(manifest.fragments)]
    manifests = [f"{folder}/f.regather.json" for folder in (".", *folders)]
    manifests[0] = "f.regather.json"
    for file in (*named, *manifests):
        assert when["sync", file] < when["name", file]
    last_fragment = max(when["name", file] for file in named)
    first_manifest = min(when["name", file] for file in manifests)
    settled = [n for n, event in enumerate(events) if event == ("sync", str(out / "server1"))]
    assert any(last_fragment < n < first_manifest for n in settled)
    for folder in (".", *folders):
        assert when["sync", folder] > max(when["name", file] for file in manifests)
    if not force:  # folders that were made are in folders that know them
        assert ("sync", str(tmp_path)) in events
        assert ("sync", str(tmp_path / "new")) in events


def test_many_are_synced_at_once(tmp_path: Path, events: list[Event]) -> None:
    path, out = random_file(tmp_path / "f", 5000), tmp_path / "out"
    regather.split(path, out, fragments=100)
    assert [what for what, path in events if what.startswith("sync")].count("sync") == 1
    kinds = [
        what for what, path in events if what == "sync all" or "file_" in path or "json" in path
    ]
    assert kinds == ["sync all", *["name"] * 100, "sync all", "name", "sync all"]


def test_who_does_not_wait_for_the_disk_does_not(tmp_path: Path, events: list[Event]) -> None:
    path = random_file(tmp_path / "f", 5000)
    regather.split(path, tmp_path / "out", servers=2, sync=False)
    regather.split(path, tmp_path / "many", fragments=100, sync=False)
    assert not [event for event in events if event[0].startswith("sync")]


@pytest.mark.parametrize(("number", "fails"), [(errno.EIO, True), (errno.EINVAL, False)])
def test_a_disk_that_fails_is_told_and_one_that_cannot_sync_folders_is_let_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, fails: bool
) -> None:
    path, fsync = random_file(tmp_path / "f", 5000), os.fsync

    def broken(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, os.strerror(number))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StorageError) if fails else contextlib.nullcontext():
        regather.split(path, tmp_path / "out")
