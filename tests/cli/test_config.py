"""The configuration file, as commands that are called meet it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

import regather
from regather.cli import _parsed
from regather.cli.topics import text_of
from regather.cluster import Cluster, server_folders
from regather.server.authorization import Tokens
from tests.support.files import here, random_file
from tests.support.files import regather as run
from tests.support.hosting import Hosting

SECRET = "s3cret-of-the-server"
ROOT = Path(__file__).parents[2]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own; the folder of the configuration in it."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in list(os.environ):
        if name.startswith("REGATHER_") or name == "XDG_CONFIG_HOME":
            monkeypatch.delenv(name)
    folder = tmp_path / "home/.config/regather"
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def made(tmp_path: Path) -> Path:
    random_file(tmp_path / "file.bin", 5000)
    regather.split(tmp_path / "file.bin", tmp_path / "out", fragments=3)
    return tmp_path


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def fails(*arguments: str | Path, says: str) -> str:
    told = here(*arguments)
    assert told.returncode == 2, told
    assert told.stdout == ""
    assert told.stderr.count("\n") == 1, told.stderr
    assert says in told.stderr
    assert "Traceback" not in told.stderr
    return told.stderr


def setting(option: str, command: str, *arguments: str | Path) -> dict[str, object]:
    told = here("config", command, "--json", *arguments)
    assert (told.returncode, told.stderr) == (0, "")
    found: dict[str, object] = json.loads(told.stdout)["options"][command][option]
    return found


# -- which file it is --------------------------------------------------------------------------


def test_which_file_is_read(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert setting("connections", "get") == {"value": 8, "from": "built-in"}
    default = write(home / "config.toml", "\n[get]\nconnections = 1\n")
    assert setting("connections", "get") == {"value": 1, "from": f"{default}:3"}
    (tmp_path / "xdg/regather").mkdir(parents=True)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert setting("connections", "get")["value"] == 8
    xdg = write(tmp_path / "xdg/regather/config.toml", "[get]\nconnections = 2\n")
    assert setting("connections", "get") == {"value": 2, "from": f"{xdg}:2"}
    monkeypatch.setenv("XDG_CONFIG_HOME", "not/absolute")
    assert setting("connections", "get")["value"] == 1
    named = write(tmp_path / "named.toml", "get.connections = 3\n")
    monkeypatch.setenv("REGATHER_CONFIG", str(named))
    assert setting("connections", "get") == {"value": 3, "from": f"{named}:1"}
    other = write(tmp_path / "other.toml", "get = { connections = 4 }\n")
    assert setting("connections", "get", "--config", other) == {"value": 4, "from": f"{other}:1"}
    assert setting("connections", "get", "--no-config")["value"] == 8
    monkeypatch.setenv("REGATHER_CONFIG", "")
    assert setting("connections", "get")["value"] == 8


def test_a_file_that_is_named_has_to_be_there(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate = ("generate", tmp_path / "x", "--size", "10")
    fails(*generate, "--config", tmp_path / "none", says="no such file")
    fails("--config", tmp_path / "none", *generate, says="--config")
    fails(*generate, "--config", tmp_path, says="is a directory")
    fails(*generate, "--config", "/dev/zero", says="256 KiB")
    fails(*generate, "--config", "x", "--no-config", says="contradict")
    monkeypatch.setenv("REGATHER_CONFIG", str(tmp_path / "none"))
    fails(*generate, says="REGATHER_CONFIG")
    assert not (tmp_path / "x").exists()
    assert run(*generate, "--no-config").returncode == 0


def test_commands_that_need_none(home: Path) -> None:
    write(home / "config.toml", "what is this")
    for command in (["--version"], ["help"], ["get", "--help"], ["completion", "bash"]):
        assert run(*command).returncode == 0


# -- options -----------------------------------------------------------------------------------


def test_options_are_what_it_says(home: Path, made: Path) -> None:
    (made / "downloads").mkdir()
    write(home / "config.toml", f'[get]\noutput = "{made}/downloads"\nquiet = true\n')
    told = run("get", made / "out/file.bin.regather.json")
    assert (told.returncode, told.stdout, told.stderr) == (0, "", "")
    assert (made / "downloads/file.bin").read_bytes() == (made / "file.bin").read_bytes()
    # The command line goes first.
    told = run("get", made / "out/file.bin.regather.json", "-o", made / "copy")
    assert told.returncode == 0
    assert (made / "copy").exists()


def test_paths_are_those_beside_the_file(home: Path, made: Path) -> None:
    write(home / "config.toml", '[defaults]\ncacert = "ca.pem"\n')
    told = fails("get", "https://127.0.0.1:1/x", says="not usable as --cacert")
    assert f"{home}/ca.pem" in told
    write(home / "config.toml", '[defaults]\ncacert = "~/ca.pem"\n')
    told = fails("get", "https://127.0.0.1:1/x", says="not usable as --cacert")
    assert f"{home.parents[1]}/ca.pem" in told


def test_one_command_goes_before_all(home: Path) -> None:
    path = write(home / "config.toml", "[defaults]\nretries = 1\ntimeout = 7\n[get]\nretries = 2\n")
    assert setting("retries", "get") == {"value": 2, "from": f"{path}:5"}
    assert setting("timeout", "get") == {"value": 7, "from": f"{path}:3"}
    assert setting("retries", "check") == {"value": 1, "from": f"{path}:2"}


def test_the_command_line_replaces_lists(home: Path, made: Path) -> None:
    write(home / "config.toml", '[serve]\nfault = ["slow:1MB", "reset@0.5"]\n')
    assert _parsed(["serve", str(made)]).fault == ["slow:1MB", "reset@0.5"]
    assert _parsed(["serve", str(made), "--fault", "stall", "--fault", "die"]).fault == [
        "stall",
        "die",
    ]


def test_of_options_that_exclude_each_other(home: Path, made: Path) -> None:
    write(home / "config.toml", "[split]\nfragments = 7\n")
    told = run("split", made / "file.bin", "--out", made / "a", "--json")
    assert len(json.loads(told.stdout)["fragments"]) == 7
    told = run("split", made / "file.bin", "--out", made / "b", "--json", "--chunk-size", "2500")
    assert len(json.loads(told.stdout)["fragments"]) == 2
    write(home / "config.toml", "[split]\nfragments = 7\nchunk-size = 100\n")
    fails("split", made / "file.bin", "--out", made / "c", says=":3: [split] chunk-size")
    assert not (made / "c").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[get]\nconections = 4", ":2: no option 'conections' in [get]; did you mean connections?"),
        ("[get]\nlimit_rate = 4", ":2: no option 'limit_rate' in [get]; did you mean limit-rate?"),
        ("\n[gett]\nx = 1", ":2: no table 'gett'; did you mean get?"),
        ("[defaults]\ntimeouts = 1", ":2: no option 'timeouts' in [defaults]; did you mean"),
        ("timeout = 1", ":1: timeout is in no table; write it below [defaults] or [get]"),
        ("get = 1", ":1: get has to be a table"),
        ("[get]\nconnections = '4'", ":2: [get] connections has to be a number, not text"),
        ("[get]\nconnections = 1.5", ":2: [get] connections is wrong: not a number"),
        ("[get]\nconnections = 0", ":2: [get] connections is wrong: must be 1 or more"),
        ("[get]\nconnections = true", "has to be a number, not true or false"),
        ("[get]\nconnections = [4]", "has to be a number, not a list"),
        ("[get]\ntimeout = nan", "is wrong"),
        ("[get]\nlimit-rate = '10 apples'", ":2: [get] limit-rate is wrong: not a size"),
        ("[get]\nlimit-rate = 2024-01-01", "not a date or time"),
        ("[get]\nquiet = 'yes'", ":2: [get] quiet has to be true or false, not text in quotes"),
        ("[get]\nlocation = 5", "has to be text in quotes, not a number"),
        ('[get]\nlocation = "a\\u0000b"', "control characters"),
        ("[get]\ncacert = ''", "must not be empty"),
        ("[get]\nforce = true", ":2: [get] force cannot be set here; give --force"),
        ("[get]\nsha256 = 'ab'", ":2: [get] sha256 cannot be set here"),
        ("[defaults]\nserver = ['x']", "[defaults] server cannot be set here"),
        ("[get]\ntoken = 'a=b'", 'use [host."NAME"] with token-file'),
        ("[get]\nsource = 'x'", ":2: no option 'source' in [get]"),
        ("[get]\n[get.connections]\nx = 1", "has to be a number, not a table"),
        ("[get\nx = 1", ":1: "),
        ("[get]\nconnections = ", ":2: "),
        ("[get]\nconnections = 1\nconnections = 2", ":3: "),
        ("x = " + "[" * 5000, ""),
        ("x = " + "9" * 5000, ""),
        ("[get]\nconnections = 0x" + "9" * 5000, "[get] connections"),
        ("[alias]\neu = 5", ":2: [alias] eu has to be an address or a list of them, not a number"),
        ("[alias]\n'e/u' = 'x'", "is no name for a source"),
        ("[alias]\neu = []", "names no address"),
        ("[alias]\neu = ['']", "empty"),
        ("[alias]\neu = 'https://me:s3cret@a/'", ":2: [alias] eu: the address of a contains"),
        ("[host]\na = 1", ":2: [host] a has to be a table; write [host.a]"),
        ("[host.'a.example']\ntokn-file = 'x'", ":2: no key 'tokn-file' in [host.\"a.example\"]"),
        ("[host.'http://a']\ntoken-file = 'x'", ":1: not a host: 'http://a'"),
        ("[host.a]\ntoken-file = 'none'", ":2: token-file"),
        ("[host.a]\ntoken-file = 5", ":2: [host.a] token-file has to be text in quotes"),
        ("[host.a]\ntoken-file = 'x'\ntoken = 'y'", "[host] a has a token and a token-file"),
        ("[host.a]\ntoken = 'y'\n[host.A]\ntoken = 'z'", ":3: [host] A is the same host as 'a'"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(home: Path, text: str, says: str) -> None:
    path = write(home / "config.toml", text)
    told = fails("get", "http://127.0.0.1:1/x", says=says)
    assert told.startswith(f"regather: {path}"), told
    assert fails("config", says=says).startswith(f"regather: {path}")


def test_what_is_wrong_is_told_to_programs(home: Path) -> None:
    write(home / "config.toml", "[get]\nconections = 4")
    told = run("get", "x", "--json")
    found = json.loads(told.stdout)
    assert (told.returncode, found["exit_code"], found["error"]) == (2, 2, "UsageError")
    assert found["help"] == "did you mean connections?"


def test_not_text(home: Path) -> None:
    (home / "config.toml").write_bytes(b"[get]\nlocation = '\xff'\n")
    fails("get", "x", says="config.toml:2: not text in UTF-8")


def test_tables_of_other_commands_do_no_harm(home: Path, tmp_path: Path) -> None:
    write(home / "config.toml", "[publish]\nconections = 4\n[defaults]\njobs = 3\n")
    assert run("generate", tmp_path / "x", "--size", "5").returncode == 0
    fails("config", says="did you mean connections?")


# -- names for sources -------------------------------------------------------------------------


def test_aliases(home: Path, made: Path, hosting: Hosting) -> None:
    server = hosting.serve(made / "out")
    address = server.url.removeprefix("http://").rstrip("/")
    (home / "shelf").symlink_to(made / "out")
    write(
        home / "config.toml",
        f'[alias]\nhere = "{server.url}"\nport = "{address}"\nshelf = "shelf"\n'
        f'two = ["{server.url}", "{address}/"]\n',
    )
    got = made / "got"
    for source in ("@here/file.bin.regather.json", "@port/file.bin.regather.json"):
        assert here("get", source, "-o", got, "--force").returncode == 0
        assert got.read_bytes() == (made / "file.bin").read_bytes()
    manifest = "@shelf/file.bin.regather.json"
    assert here("info", manifest).returncode == 0
    told = here("get", manifest, "--server", "@two", "-o", got, "--force", "--json")
    urls = {source["url"] for source in json.loads(told.stdout.splitlines()[-1])["sources"]}
    assert urls == {server.url}
    told = here("publish", made / "file.bin", "--to", "@shelf", "--force", "--fragments", "3")
    assert told.returncode == 0, told.stderr
    (made / "out/whole.bin").write_bytes(b"x" * 1000)
    told = here("get", "@two/whole.bin", "-o", made / "whole", "--blake3", "0" * 64)
    assert told.returncode == 3
    fails("info", "@two/x", says="an alias of 2 sources")
    fails("get", "@hree/x", says="did you mean @here?")
    fails("get", "@hree/x", "--no-config", says="in a configuration file")
    # What exists goes first, and what cannot be an alias is a path.
    (made / "@here").write_bytes((made / "out/file.bin.regather.json").read_bytes())
    told = run("info", "@here", cwd=made)
    assert told.returncode == 0
    fails("info", "./@none", says="no such file")


# -- tokens ------------------------------------------------------------------------------------


def test_a_token_by_host(
    home: Path, made: Path, hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = hosting.serve(made / "out", tokens=Tokens(read=SECRET))
    url = server.url + "file.bin.regather.json"
    write(home / "a.token", SECRET + "\n")
    path = write(home / "config.toml", '[host."127.0.0.1"]\ntoken-file = "a.token"\n')
    for arguments in (["get", url, "-qo", made / "copy"], ["info", url], ["check", url]):
        told = here(*arguments)
        assert (told.returncode, told.stderr) == (0, "")
    assert here("info", url, "--no-config").returncode != 0
    told = here("config", "--json")
    assert json.loads(told.stdout)["tokens"] == {
        "127.0.0.1": {"value": f"{home}/a.token", "from": f"{path}:2"}
    }
    # The environment goes before it, and the command line before that.
    monkeypatch.setenv("REGATHER_TOKEN_127_0_0_1", "wrong")
    assert here("info", url).returncode != 0
    monkeypatch.delenv("REGATHER_TOKEN_127_0_0_1")
    monkeypatch.setenv("REGATHER_TOKEN", f"127.0.0.1:{server.port}=wrong")
    assert here("info", url).returncode != 0
    told = here("check", url, "--token", f"127.0.0.1:{server.port}={home}/a.token")
    assert told.returncode == 0


def test_no_secret_of_an_option_is_shown(home: Path) -> None:
    write(
        home / "config.toml",
        "[get]\nproxy = 'http://me:s3cret@p.example:1'\n"
        "header = ['a.example:80=X-Key: s3cret', 's3cret', 'b.example=@headers']\n"
        "store-option = ['secret_access_key=s3cret', 'region=eu']\n",
    )
    for words in (("config",), ("config", "--json")):
        told = here(*words)
        assert (told.returncode, told.stderr) == (0, "")
        assert "s3cret" not in told.stdout
    assert setting("proxy", "get")["value"] == "http://(a secret)@p.example:1"
    assert setting("header", "get")["value"] == [
        *("a.example:80=X-Key: (a secret)", "(a secret)", "b.example=@headers"),
    ]
    assert setting("store-option", "get")["value"] == [
        *("secret_access_key=(a secret)", "region=eu"),
    ]


def test_a_token_in_the_file_itself(home: Path, made: Path, hosting: Hosting) -> None:
    server = hosting.serve(made / "out", tokens=Tokens(read=SECRET))
    url = server.url + "file.bin.regather.json"
    text = f'[host."127.0.0.1:{server.port}"]\ntoken = "{SECRET}"\n'
    path = write(home / "config.toml", text)
    assert here("info", url).returncode == 0
    for arguments in (["config"], ["config", "--json"], ["config", "get"]):
        told = here(*arguments)
        assert told.returncode == 0
        assert f"{path}:2" in told.stdout
        assert SECRET not in told.stdout + told.stderr
    path.chmod(0o644)
    assert SECRET not in fails("info", url, says="chmod 600")
    # It is of no concern to commands that ask nobody.
    assert here("generate", made / "x", "--size", "5").returncode == 0
    write(path, text.replace(SECRET, SECRET + " x"))
    assert SECRET not in fails("info", url, says="[host.")


def test_a_token_file_that_all_can_read(home: Path, made: Path) -> None:
    write(home / "a.token", SECRET, 0o644)
    write(home / "config.toml", "[host.'127.0.0.1']\ntoken-file = 'a.token'\n", 0o644)
    told = here("info", made / "out/file.bin.regather.json")
    assert told.returncode == 0
    assert "all users of this machine can read it" in told.stderr
    assert told.stderr.count("\n") == 1


def test_the_environment_of_serve_goes_first(
    home: Path, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(home / "config.toml", "[serve]\nread-token = 'read.token'\n")
    assert _parsed(["serve", "x"]).read_token == str(home / "read.token")
    assert setting("read-token", "serve") == {"value": "read.token", "from": f"{path}:2"}
    monkeypatch.setenv("REGATHER_READ_TOKEN", SECRET)
    assert _parsed(["serve", "x"]).read_token is None
    assert setting("read-token", "serve") == {
        "value": "(a token)",
        "from": "environment REGATHER_READ_TOKEN",
    }
    assert _parsed(["serve", "x", "--read-token", "y"]).read_token == "y"


# -- regather config ---------------------------------------------------------------------------


def test_config_shows_all(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(home / "config.toml", "[get]\nlimit-rate = '10MB'\n[alias]\neu = 'http://a.b/'\n")
    monkeypatch.setenv("REGATHER_TOKEN_A_B", SECRET)
    monkeypatch.setenv("REGATHER_TOKEN", f"c.d={SECRET}")
    told = run("config")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith(f"# {path}\n")
    for line in (
        rf'limit-rate = "10MB" +# {path}:2',
        r"timeout = 15.0 +# built-in",
        rf'eu = \["http://a.b/"\] +# {path}:4',
        r'A_B = "\(a token\)" +# environment REGATHER_TOKEN_A_B',
        r'c.d = "\(a token\)" +# environment REGATHER_TOKEN',
    ):
        assert re.search(rf"^{line}$", told.stdout, re.MULTILINE), line
    assert SECRET not in told.stdout
    assert "[publish]" in told.stdout
    assert "[publish]" not in run("config", "get").stdout
    path.unlink()
    assert run("config").stdout.startswith(f"# {path}: not there\n")
    fails("config", "gett", says="no command 'gett'")
    fails("config", "help", says="no command 'help'")


def test_what_is_documented_is_read(home: Path) -> None:
    text = text_of("config")
    assert (ROOT / "docs/config.md").read_text("utf-8") == text
    example = re.search(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert example
    write(home / "config.toml", example[1])
    write(home / "eu.token", SECRET)
    write(home / "weights.pub", regather.SecretKey.new().public.line)
    told = run("config", "--json")
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout)
    assert found["options"]["get"]["connections"]["value"] == 4
    names = {name for options in found["options"].values() for name in options}
    assert not {"h", "help", "verbose"} & names
    assert set(found["aliases"]) == {"eu", "both"}
    refused = text.partition("Not here,")[2].partition("A flag")[0]
    for option in re.findall(r"`--([a-z]+)`", refused):
        write(home / "config.toml", f"[defaults]\n{option} = true\n")
        fails("config", says="cannot be set here")


def test_python_reads_none(home: Path, made: Path) -> None:
    write(home / "config.toml", "what is this")
    regather.download(str(made / "out/file.bin.regather.json"), made / "copy")
    assert (made / "copy").exists()


def test_servers_of_a_cluster_read_none(home: Path, made: Path) -> None:
    """What holds for a server that is meant to stay does not for those of a demonstration."""
    write(home / "config.toml", "[serve]\nfault = ['die@0s']\n")
    regather.split(made / "file.bin", made / "many", servers=2)
    with Cluster(server_folders(made / "many")) as cluster:
        regather.download(
            str(made / "many/file.bin.regather.json"), made / "copy", servers=cluster.urls
        )
