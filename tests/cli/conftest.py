"""Fixtures of several modules."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a command writes that should have been refused."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tiny_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Any:
    """A file system of 10 MiB, or as many as the test says; needs the right to mount."""
    size = getattr(request, "param", 10)
    folder = tmp_path / "tiny"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"may not mount: {mounted.stderr}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)
