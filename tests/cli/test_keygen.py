"""``regather keygen`` and ``regather sign``: files, permissions, passwords."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import regather
from regather.errors import UsageError
from regather.trust.public_key import public_key
from regather.trust.secret_key import SecretKey
from tests.support.files import here, random_file


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "k.key", tmp_path / "k.pub"


def keygen(keys: tuple[Path, Path], *more: str | Path) -> subprocess.CompletedProcess[str]:
    return here("keygen", "-s", keys[0], "-p", keys[1], *more)


def test_a_pair_without_a_password(keys: tuple[Path, Path]) -> None:
    done = keygen(keys, "--no-password", "--json")
    told = json.loads(done.stdout)
    secret, public = SecretKey.read(keys[0]), public_key(str(keys[1]))
    assert (done.returncode, secret.public) == (0, public)
    assert (told["key"], told["public"]) == (public.name, public.line)
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600
    again = keygen(keys, "--no-password")
    assert (again.returncode, again.stderr.count("\n")) == (6, 1)
    assert SecretKey.read(keys[0]) == secret
    # By force a new one, which is as secret, whatever the old file was.
    keys[0].chmod(0o644)
    assert keygen(keys, "--no-password", "--force", "-q").returncode == 0
    assert SecretKey.read(keys[0]) != secret
    assert stat.S_IMODE(keys[0].stat().st_mode) == 0o600


def test_a_pair_with_a_password(keys: tuple[Path, Path], tmp_path: Path) -> None:
    (tmp_path / "password").write_text("correct horse\n")
    (tmp_path / "wrong").write_text("battery\n")
    (tmp_path / "empty").touch()
    assert keygen(keys, "--password-file", tmp_path / "password").returncode == 0
    regather.split(random_file(tmp_path / "a", 100), tmp_path / "out")
    sign = "sign", tmp_path / "out/a.regather.json", "--secret-key", keys[0]
    for name, code in (("password", 0), ("wrong", 2), ("empty", 2), ("none", 2)):
        done = here(*sign, "--password-file", tmp_path / name)
        assert (done.returncode, done.stderr.count("\n")) == (code, code // 2), done
    assert keygen(keys, "-f", "--password-file", tmp_path / "empty").returncode == 2


def test_without_a_terminal_nobody_is_asked(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "regather", "keygen"],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        start_new_session=True,
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "--password-file" in done.stderr
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_signed(keys: tuple[Path, Path], tmp_path: Path) -> None:
    assert keygen(keys, "--no-password").returncode == 0
    regather.split(random_file(tmp_path / "a", 100), tmp_path / "out")
    manifest = tmp_path / "out/a.regather.json"
    (tmp_path / "b.regather.json").write_bytes(manifest.read_bytes())
    (tmp_path / "c.regather.json").write_text("{}")
    for name, code in (("b", 2), ("c", 3), ("none", 2)):
        done = here("sign", tmp_path / f"{name}.regather.json", "--secret-key", keys[0])
        assert (done.returncode, done.stderr.count("\n")) == (code, 1), done
    assert here("sign", manifest, "--secret-key", keys[1]).returncode == 2
    done = here("sign", manifest, "--secret-key", keys[0], "--file-version", "3", "--json")
    assert json.loads(done.stdout)["version"] == 3
    for version in (-1, 2**53):  # which no reader would take for one
        with pytest.raises(UsageError, match="a version is from 0"):
            regather.sign(manifest, regather.SecretKey.read(keys[0]), version)


def test_the_two_keys_need_two_files(tmp_path: Path) -> None:
    same = tmp_path / "k"
    assert here("keygen", "-s", same, "-p", same, "--no-password").returncode == 2
    assert not same.exists()
