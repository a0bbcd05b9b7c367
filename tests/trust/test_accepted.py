"""What was accepted, where several processes remember something at the same time."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

import msgspec
import pytest

from regather.errors import StorageError, VerificationError
from regather.files.atomic import folder_locked
from regather.trust.accepted import accept
from regather.trust.comment import TrustedComment
from regather.trust.public_key import PublicKey

KEY = PublicKey(b"12345678", bytes(32))


def accepted(state: Path, file: str, version: int, digest: str = "ab") -> None:
    accept(
        file,
        KEY,
        TrustedComment(file, 5, version),
        digest,
        allow_older=False,
        environment={"XDG_STATE_HOME": str(state)},
    )


def while_it_waits(
    state: Path, monkeypatch: pytest.MonkeyPatch, file: str, version: int
) -> contextlib.ExitStack:
    """Another one has the lock, and lets go of it after it has remembered something as well."""
    document = state / "regather/accepted.json"
    lock = contextlib.ExitStack()
    lock.enter_context(folder_locked(document.parent))

    def sleep(seconds: float) -> None:
        known = msgspec.json.decode(document.read_bytes())
        known["keys"][KEY.line][file] = {"version": version, "digest": "ab"}
        document.write_bytes(msgspec.json.encode(known))
        lock.close()

    monkeypatch.setattr(time, "sleep", sleep)
    return lock


def test_what_another_process_remembers_meanwhile_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted(tmp_path, "a", 1)
    with while_it_waits(tmp_path, monkeypatch, "b", 7):
        accepted(tmp_path, "c", 3)
    known = msgspec.json.decode((tmp_path / "regather/accepted.json").read_bytes())
    assert {file: one["version"] for file, one in known["keys"][KEY.line].items()} == {
        "a": 1,
        "b": 7,
        "c": 3,
    }
    assert [path.name for path in (tmp_path / "regather").iterdir()] == ["accepted.json"]


def test_a_version_that_another_process_accepts_meanwhile_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accepted(tmp_path, "a", 1)
    with (
        while_it_waits(tmp_path, monkeypatch, "a", 9),
        pytest.raises(VerificationError, match="version 2 is older than version 9"),
    ):
        accepted(tmp_path, "a", 2)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to give a file to somebody else")
def test_what_belongs_to_somebody_else_does_not_count(tmp_path: Path) -> None:
    accepted(tmp_path, "a", 1)
    os.chown(tmp_path / "regather/accepted.json", 12345, 12345)
    with pytest.raises(StorageError, match="others can change"):
        accepted(tmp_path, "a", 2)
