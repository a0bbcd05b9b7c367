"""Completion in real shells: what a Tab makes of a line."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from regather.cli import parser_of
from regather.cli.commands import COMMANDS
from regather.cli.completion import SHELLS, script
from regather.cli.kinds import kind_of
from regather.cli.parsing import commands_of
from regather.cli.topics import titles
from regather.server.faults import FaultKind
from tests.support.files import regather as run
from tests.support.shells import Shell, fish_words

Words = Callable[[str], set[str]]


def need(name: str) -> None:
    if shutil.which(name) is None:
        pytest.skip(f"{name} is missing: apt-get install {name}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the shells are: files/ is what they see."""
    home = tmp_path_factory.mktemp("shells")
    files = home / "files"
    (files / "hosted").mkdir(parents=True)
    for name in ("disk.img", "disk.img.regather.json", "list.txt", "my file.dat", "x.meta4"):
        (files / name).touch()
    return home


@pytest.fixture(scope="module")
def bash(folder: Path) -> Iterator[Shell]:
    need("bash")
    with Shell("bash", script("bash"), folder) as shell:
        yield shell


@pytest.fixture(scope="module")
def zsh(folder: Path) -> Iterator[Shell]:
    need("zsh")
    with Shell("zsh", script("zsh"), folder) as shell:
        yield shell


@pytest.fixture(params=SHELLS)
def words(request: pytest.FixtureRequest, folder: Path) -> Words:
    """What a line can become, in each shell."""
    if request.param == "fish":
        need("fish")
        made = script("fish")
        return lambda typed: fish_words(made, typed, folder)
    shell: Shell = request.getfixturevalue(request.param)
    return shell.words


@pytest.fixture(params=["bash", "zsh"])
def line(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """What a Tab makes of a line."""
    shell: Shell = request.getfixturevalue(request.param)
    return shell.line


def test_commands_and_options(words: Words) -> None:
    assert words("regather ") == set(COMMANDS)
    assert words("regather ch") == {"check"}
    assert words("regather get --connect") == {"--connect-timeout", "--connections"}
    assert words("regather serve --tls") == {"--tls-cert", "--tls-key"}
    # Options of one command are not those of another.
    assert not words("regather info --tls") & {"--tls-cert", "--tls-key"}


def test_every_option_of_every_command(words: Words) -> None:
    for name, parser in commands_of(parser_of()).items():
        options = {o for a in parser._actions for o in a.option_strings if o.startswith("--")}
        assert words(f"regather {name} --") >= options, name


def test_faults_and_shells(words: Words) -> None:
    assert words("regather serve x --fault s") == {"stall", "slow:20MB"}
    assert words("regather cluster x --fault re") == {"refuse", "reset"}
    kinds = {word.partition(":")[0] for word in words("regather serve x --fault ")}
    assert kinds == set(FaultKind)
    assert words("regather completion ") == set(SHELLS)
    assert words("regather config ge") == {"generate", "get"}
    assert words("regather help met") == {"metalink"}
    assert words("regather help exit") == {"exit-codes"}
    assert words("regather help ") == {*COMMANDS, *titles()}


def test_manifests_come_first(words: Words) -> None:
    assert words("regather check d") == {"disk.img.regather.json"}
    assert words("regather get d") == {"disk.img.regather.json"}
    assert words("regather get x") == {"x.meta4"}
    assert "disk.img.regather.json" in words("regather get x.meta4 d")


def test_folders(words: Words) -> None:
    assert words("regather split disk.img --out ") == {"hosted"}
    assert words("regather cluster h") == {"hosted"}
    assert words("regather get x.meta4 --server h") == {"hosted"}


def test_a_value_is_not_a_place_for_options(words: Words) -> None:
    assert "disk.img" in words("regather split d")
    assert words("regather get -i l") == {"list.txt"}


def test_what_readline_cuts(line: Callable[[str], str]) -> None:
    assert line("regather serve x --fault=sl") == "regather serve x --fault=slow:20MB "
    assert line("regather serve x --fault slow:") == "regather serve x --fault slow:20MB "
    assert line("regather get --input=li") == "regather get --input=list.txt "
    assert line("regather check --server a.example:9001 dis") == (
        "regather check --server a.example:9001 disk.img.regather.json "
    )


def test_folders_are_gone_into(line: Callable[[str], str]) -> None:
    assert line("regather cluster ho") == "regather cluster hosted/"
    assert line("regather check ho") == "regather check hosted/"


def test_names_with_spaces(line: Callable[[str], str]) -> None:
    assert line("regather split my") == "regather split my\\ file.dat "
    assert line("regather split my\\ f") == "regather split my\\ file.dat "


def test_a_token_file(bash: Shell) -> None:
    assert bash.line("regather get --token a.example=li") == (
        "regather get --token a.example=list.txt "
    )


def test_every_argument_has_a_kind() -> None:
    for name, parser in commands_of(parser_of()).items():
        for action in parser._actions:
            assert kind_of(action) is not None, (name, action.dest, action.metavar)


def test_the_command(tmp_path: Path) -> None:
    for shell in SHELLS:
        told = run("completion", shell, cwd=tmp_path)
        assert (told.returncode, told.stderr) == (0, "")
        assert told.stdout == script(shell) + "\n"
    told = run("completion", "csh")
    assert told.returncode == 2
    assert told.stderr.count("\n") == 1
