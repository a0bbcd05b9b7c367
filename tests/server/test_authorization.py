"""Who may read and write, and that no token is ever shown."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from tests.server.process import Serve, refused

READ = "reading-1234"
WRITE = "writing-5678"


def token_file(folder: Path, token: str, mode: int = 0o600) -> Path:
    path = folder / f"{token[:4]}.token"
    path.write_text(f"{token}\n")
    path.chmod(mode)
    return path


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "store"
    path.mkdir()
    (path / "x.dat").write_bytes(b"hello")
    return path


@pytest.fixture
def server(store: Path, tmp_path: Path) -> Iterator[Serve]:
    arguments = (
        *("--read-token", str(token_file(tmp_path, READ))),
        *("--write-token", str(token_file(tmp_path, WRITE))),
    )
    with Serve(store, *arguments, "--access-log") as running:
        yield running
        assert READ not in running.errors
        assert WRITE not in running.errors


def test_reading(server: Serve) -> None:
    for token in (READ, WRITE):
        assert server.get("/x.dat", Authorization=f"Bearer {token}").body == b"hello"
        assert server.get("/x.dat", Authorization=f"bearer  {token} ").status == 200
        basic = base64.b64encode(f"anyone:{token}".encode()).decode()
        assert server.get("/x.dat", Authorization=f"Basic {basic}").status == 200
    for path in ("/x.dat", "/", "/none.dat"):
        for method in ("GET", "HEAD"):
            answer = server.get(path, method)
            assert answer.status == 401
            assert answer.headers["WWW-Authenticate"].startswith("Bearer ")


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        f"Bearer {READ}x",
        f"Bearer {READ[:-1]}",
        f"Bearer {READ.upper()}",
        f"Token {READ}",
        READ,
        "Basic !!!",
        "Basic " + base64.b64encode(READ.encode()).decode(),
        "Basic " + base64.b64encode(f"{READ}:".encode()).decode(),
    ],
)
def test_wrong_tokens(server: Serve, header: str) -> None:
    answer = server.get("/x.dat", Authorization=header)
    assert answer.status == 401
    assert answer.body.count(b"\n") <= 1


def test_writing(server: Serve, store: Path) -> None:
    digest = blake3(b"").hexdigest()

    def put(authorization: str) -> int:
        return server.get(
            "/new.dat",
            "PUT",
            Authorization=authorization,
            Regather_Blake3=digest,
            Content_Length="0",
        ).status

    assert put("") == 401
    assert put("Bearer wrong") == 401
    assert put(f"Bearer {READ}") == 403
    assert server.get("/x.dat", "DELETE", Authorization=f"Bearer {READ}").status == 403
    assert os.listdir(store) == ["x.dat"]
    assert put(f"Bearer {WRITE}") == 201


def test_health_stays_open(server: Serve) -> None:
    assert server.health()["status"] == "ok"
    assert server.get("/-/ready").body == b"ready\n"


def test_only_writing_needs_a_token_where_only_that_is_given(store: Path, tmp_path: Path) -> None:
    with Serve(store, "--write-token", str(token_file(tmp_path, WRITE))) as server:
        assert server.get("/x.dat").status == 200
        assert server.get("/x.dat", "DELETE").status == 401
        assert server.get("/x.dat", "DELETE", Authorization=f"Bearer {WRITE}").status == 204


def test_tokens_from_the_environment(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGATHER_READ_TOKEN", READ)
    monkeypatch.setenv("REGATHER_WRITE_TOKEN", WRITE)
    with Serve(store) as server:
        assert server.get("/x.dat").status == 401
        assert server.get("/x.dat", Authorization=f"Bearer {READ}").status == 200
        assert server.get("/x.dat", "DELETE", Authorization=f"Bearer {WRITE}").status == 204
    with Serve(store.parent / "store", "--quiet") as server:
        assert server.get("/").status == 401


def fail(*arguments: str | Path) -> str:
    code, told = refused(*arguments, "--port", "0")
    assert code == 2
    return told


def test_token_files_that_will_not_do(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.write_text(" \n")
    assert "is empty" in fail(store, "--write-token", empty)
    spaced = tmp_path / "spaced"
    spaced.write_text("two words\n")
    assert "two words" not in fail(store, "--read-token", spaced)
    assert "no such file" in fail(store, "--write-token", tmp_path / "none")
    assert "directory" in fail(store, "--write-token", store)
    assert "is a file" in fail(store / "x.dat", "--write-token", token_file(tmp_path, WRITE))
    assert "--write-token" in fail(store, "--max-upload", "5MB")
    monkeypatch.setenv("REGATHER_READ_TOKEN", "")
    assert "REGATHER_READ_TOKEN" in fail(store)


def test_warnings(store: Path, tmp_path: Path) -> None:
    exposed = token_file(tmp_path, WRITE, 0o644)
    with Serve(store, "--write-token", str(exposed)) as server:
        assert server.errors.count("\n") == 1
        assert f"{exposed}: all users of this machine can read it" in server.errors
    private = token_file(tmp_path, WRITE)
    with Serve(store, "--write-token", str(private), "--host", "0.0.0.0") as server:
        assert server.errors.count("\n") == 1
        assert "--tls-cert" in server.errors
    with Serve(store, "--write-token", str(private), "--host", "localhost") as server:
        assert server.errors == ""
