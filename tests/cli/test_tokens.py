"""``--token`` of ``get``, and addresses with passwords in them."""

from __future__ import annotations

from pathlib import Path

import pytest

import regather
from regather.server.authorization import Tokens
from tests.support.files import alone, random_file
from tests.support.files import regather as run
from tests.support.hosting import Hosting

SECRET = "s3cret-token"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    random_file(tmp_path / "file.bin", 300_000)
    regather.split(tmp_path / "file.bin", tmp_path / "out", fragments=3)
    (tmp_path / "token").write_text(SECRET + "\n")
    (tmp_path / "token").chmod(0o600)
    return tmp_path


def test_a_download_with_a_token(made: Path, hosting: Hosting) -> None:
    server = hosting.serve(made / "out", tokens=Tokens(read=SECRET))
    url = server.url + "file.bin.regather.json"
    without = run("get", url, "-o", made / "copy")
    assert without.returncode == 4
    assert "--token 127.0.0.1=FILE" in without.stderr
    shown = run("info", url, "--token", f"127.0.0.1={made / 'token'}")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "file.bin" in shown.stdout
    for host in ("127.0.0.1", f"127.0.0.1:{server.port}"):
        (made / "copy").unlink(missing_ok=True)
        result = run("get", url, "-qo", made / "copy", "--token", f"{host}={made / 'token'}")
        assert (result.returncode, result.stderr) == (0, "")
        assert SECRET not in result.stdout
    assert (made / "copy").read_bytes() == (made / "file.bin").read_bytes()


def test_a_download_without_a_token_for_the_fragments(made: Path, hosting: Hosting) -> None:
    server = hosting.serve(made / "out", tokens=Tokens(read=SECRET))
    manifest = alone(made / "out" / "file.bin.regather.json")
    result = run("get", manifest, "--server", server.url, "-o", made / "copy")
    assert result.returncode == 4
    assert "--token 127.0.0.1=FILE" in result.stderr


def test_tokens_from_the_environment(
    made: Path, hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = hosting.serve(made / "out", tokens=Tokens(read=SECRET))
    url = server.url + "file.bin.regather.json"
    monkeypatch.setenv("REGATHER_TOKEN_127_0_0_1", SECRET)
    regather.download(url, made / "copy1")
    assert run("info", url).returncode == 0
    monkeypatch.delenv("REGATHER_TOKEN_127_0_0_1")
    (made / "netrc").write_text(f"machine 127.0.0.1 login me password {SECRET}\n")
    monkeypatch.setenv("NETRC", str(made / "netrc"))
    regather.download(url, made / "copy2")
    monkeypatch.delenv("NETRC")
    settings = regather.Settings(tokens={"127.0.0.1": SECRET})
    assert SECRET not in repr(settings)
    regather.download(url, made / "copy3", settings=settings)


@pytest.mark.parametrize(
    "value", ["TOKEN", "=FILE", "127.0.0.1=", "127.0.0.1=/none", "http://a=FILE", "u:p@a=FILE"]
)
def test_malformed_tokens(made: Path, value: str) -> None:
    value = value.replace("FILE", str(made / "token")).replace("TOKEN", SECRET)
    result = run("get", made / "out" / "file.bin.regather.json", "--token", value)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1
    assert "Traceback" not in result.stderr
    assert SECRET not in result.stderr


def test_a_token_that_all_can_read(made: Path) -> None:
    (made / "token").chmod(0o644)
    result = run(
        *("get", made / "out" / "file.bin.regather.json", "-o", made / "copy"),
        *("--token", f"127.0.0.1={made / 'token'}"),
    )
    assert result.returncode == 0
    assert result.stderr == (
        f"regather: warning: --token {made / 'token'}: all users of this machine can read it; "
        "chmod 600 it\n"
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["http://user:pw-123@127.0.0.1:9/x.regather.json"],
        ["user:pw-123@127.0.0.1:9/x.regather.json"],
        ["MANIFEST", "--server", "http://user:pw-123@127.0.0.1:9"],
        ["--fragment", "http://user:pw-123@127.0.0.1:9/x.dat"],
        ["--fragment", "http://pw-123@127.0.0.1:9/x.dat"],
    ],
)
def test_passwords_in_addresses(made: Path, arguments: list[str]) -> None:
    manifest = str(made / "out" / "file.bin.regather.json")
    result = run("get", *(manifest if a == "MANIFEST" else a for a in arguments), "--quiet")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.count("\n") == 1, result.stderr
    assert "pw-123" not in result.stderr
    assert "--token 127.0.0.1:9=FILE" in result.stderr
