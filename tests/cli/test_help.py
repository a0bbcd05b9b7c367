"""regather help: every topic listed, within 80 columns, and true."""

from __future__ import annotations

import argparse
import importlib
import os
import pty
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from regather import errors
from regather.cli import parser_of
from regather.cli.commands import COMMANDS
from regather.cli.get_stream import READER_LEFT
from regather.cli.overview import EXAMPLES
from regather.cli.parsing import commands_of
from regather.cli.topics import plain, text_of, titles
from regather.server.faults import FaultKind, parse_fault
from tests.support.files import regather as run

ROOT = Path(__file__).parents[2]
TOPICS = sorted(path.stem for path in (ROOT / "src/regather/cli/topics").glob("*.md"))
CODE = re.compile(r"`([^`]+)`")


def test_the_list_has_every_topic_and_command() -> None:
    told = run("help")
    assert (told.returncode, told.stderr) == (0, "")
    for name in TOPICS:
        assert re.search(rf"^  {name} +\w", told.stdout, re.MULTILINE), name
    for name in COMMANDS:
        assert re.search(rf"\b{name}\b", told.stdout.partition("COMMAND")[2]), name
    assert max(map(len, told.stdout.splitlines())) <= 80


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_reads_well(topic: str) -> None:
    text = text_of(topic)
    assert re.match(rf"# [A-Z][A-Za-z ]+: {re.escape(titles()[topic])}\n", text)
    assert max(map(len, plain(text).splitlines())) <= 80
    told = run("help", topic)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith(plain(text))
    assert not re.search(r"^\||<!--", told.stdout, re.MULTILINE), "no table, no comment"
    assert not re.search(r"\]\(", told.stdout), "no link"
    assert "`" not in plain(text)
    assert "\b" not in told.stdout


@pytest.mark.parametrize("topic", TOPICS)
def test_a_topic_is_a_page_of_the_docs(topic: str) -> None:
    """One text: what the terminal shows is the page, or its beginning."""
    assert (ROOT / "docs" / f"{topic}.md").read_text().startswith(text_of(topic))
    for page in re.findall(r"\]\((\w[^)#]*)", text_of(topic)):
        assert (ROOT / "docs" / page).exists(), page


@pytest.mark.parametrize("topic", TOPICS)
def test_what_a_topic_names_exists(topic: str) -> None:
    text = text_of(topic)
    parsers = commands_of(parser_of())
    options = {
        name: {option for action in parser._actions for option in action.option_strings}
        for name, parser in parsers.items()
    }
    every = set().union(*options.values())
    for code in CODE.findall(text):
        words = code.split()
        if words[:2] == ["regather", "help"]:
            assert set(words[2:]) <= {*TOPICS, *COMMANDS}, code
        elif words[0] == "regather" and words[1:]:
            assert words[1] in COMMANDS, code
            assert {w for w in words if w.startswith("-")} <= {"-"} | options[words[1]], code
        elif words[0].startswith("--"):
            assert re.split(r"[= ]", code)[0] in every, code


@pytest.mark.parametrize("topic", TOPICS)
def test_the_commands_of_a_topic_are_understood(topic: str) -> None:
    """Every line of an example that begins with regather is a command that can be called."""
    text = text_of(topic).replace("\\\n", " ")
    for line in text.splitlines():
        if not line.startswith("    regather "):
            continue
        words = shlex.split(line.partition(" > ")[0], comments=True)[1:]
        parsed = parser_of(words[0]).parse_args(words)
        for fault in getattr(parsed, "fault", []):
            parse_fault(fault)


def test_lists_in_topics_are_complete() -> None:
    assert {kind for kind in FaultKind if f"- `{kind}" in text_of("faults")} == set(FaultKind)
    codes = {getattr(errors, name).exit_code for name in errors.__all__}
    told = re.findall(r"^- `(\d+)`", text_of("exit-codes"), re.MULTILINE)
    assert set(map(int, told)) == codes | {0, 5, READER_LEFT}
    sources = "\n".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    variables = set(re.findall(r"\bREGATHER_[A-Z_]*[A-Z]\b", sources))
    assert variables <= set(re.findall(r"REGATHER_[A-Z_]*[A-Z]", text_of("environment")))


def test_a_command_is_a_topic() -> None:
    assert run("help", "get").stdout == run("get", "--help").stdout
    both = run("help", "metalink").stdout
    assert both.startswith("Metalink: ")
    assert both.endswith("`regather metalink --help` lists the options of the command.\n")


@pytest.mark.parametrize(
    ("topic", "near"),
    [("tokns", "tokens"), ("exit", "exit-codes"), ("gett", "get"), ("SIZES", "sizes"), ("", "")],
)
def test_an_unknown_topic(topic: str, near: str) -> None:
    told = run("help", topic)
    assert (told.returncode, told.stdout) == (2, "")
    assert told.stderr.count("\n") == 1
    assert f"did you mean {near}?" in told.stderr if near else "lists what there is" in told.stderr


def test_a_word_leads_to_the_topics_that_have_it() -> None:
    told = run("help", "SHA256").stderr
    named = told.rpartition("have the word: ")[2].split(", ")
    assert named[0] == "mirrors", "it has it most often"
    assert all("sha256" in text_of(name.strip()).lower() for name in named)


def test_a_pager_on_a_terminal(tmp_path: Path) -> None:
    """On a terminal the pager gets the text, with headings struck over."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "regather", "help", "sizes"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm", "PAGER": f"cat > {tmp_path / 'shown'}", "MANPAGER": ""},
    )
    os.close(slave)
    assert process.wait(30) == 0
    os.close(master)
    shown = (tmp_path / "shown").read_text()
    assert shown.startswith("S\bSi\bi")
    assert re.sub(".\b", "", shown) == plain(text_of("sizes"))


def examples_of(name: str) -> list[str]:
    """The examples of a command, each on one line."""
    lines = importlib.import_module(f"regather.cli.{name}").EXAMPLES
    return "\n".join(lines).replace("\\\n", "").splitlines()


def examples() -> list[str]:
    """Every example of a command, and of the overview."""
    return [*EXAMPLES, *(line for name in COMMANDS for line in examples_of(name))]


@pytest.mark.parametrize("line", examples())
def test_examples_are_what_a_shell_and_the_command_understand(line: str) -> None:
    assert subprocess.run(["bash", "-n", "-c", line], check=False).returncode == 0
    if inner := re.fullmatch(r'eval "\$\((.*)\)".*', line):
        line = inner[1]
    program, command, *arguments = shlex.split(re.split(" > | [|] ", line)[0], comments=True)
    assert program == "regather"
    parser_of(command).parse_args([command, *arguments])


@pytest.mark.parametrize("name", COMMANDS)
def test_every_default_is_told(name: str) -> None:
    for action in commands_of(parser_of(name))[name]._actions:
        shown = action.option_strings and action.nargs != 0 and not action.required
        if shown and action.default not in (None, "", [], argparse.SUPPRESS):
            assert "default: " in (action.help or ""), action.option_strings


def test_where_a_file_goes_is_told() -> None:
    told = " ".join(run("get", "--help").stdout.split())
    assert "If DEST ends in / or is a folder, the file goes into it under its own name" in told


@pytest.mark.parametrize("name", COMMANDS)
def test_the_short_help_fits_a_screen(name: str) -> None:
    told = run(name, "-h").stdout
    assert len(told.splitlines()) <= 40
    assert len(re.findall(r"^  --?[a-z]", told, re.MULTILINE)) <= 10
    assert f"all options: regather {name} --help\n" in told
    shown = told.partition("\nexamples:\n")[2].replace("\\\n", "")
    assert len(re.findall(r"^  [a-z]", shown, re.MULTILINE)) == 3
    assert max(map(len, told.splitlines())) <= 100
    assert "--help" not in told.partition("\nexamples:\n")[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_most_used_options_exist(name: str) -> None:
    module = importlib.import_module(f"regather.cli.{name}")
    known = commands_of(parser_of(name))[name]._option_string_actions
    assert set(getattr(module, "COMMON", ())) <= set(known)


def test_all_options_stand_in_groups() -> None:
    told = run("get", "--help").stdout
    titles = re.findall(r"^([a-z ]+):$", told, re.MULTILINE)
    assert titles == [
        *("arguments", "sources", "output", "verification"),
        *("credentials", "network", "display", "configuration", "examples", "exit codes"),
    ]
    assert told.startswith("usage: regather get [SOURCE...] [options]\n")


def test_the_overview_fits_a_screen() -> None:
    told = run()
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == run("-h").stdout
    assert len(told.stdout.splitlines()) <= 40
    assert max(map(len, told.stdout.splitlines())) <= 80
    every = run("--help").stdout
    assert every.startswith(told.stdout)
    assert "exit codes:\n" in every
    assert "--no-config" in every


NAMED = re.compile(r"--mirror \S+|--at \S+|#.*")
"""What names a host without a request to it."""
SERVERS = ("serve", "gateway", "cluster")
"""Commands that go on until they are ended."""
FOREIGN = re.compile(r"\.example\b|s3://|127\.0\.0\.1:900|> ~|zsh|other\.toml|list\.txt|dataset")


@pytest.fixture(scope="module")
def pasted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which the examples are pasted: what those of the overview made is there."""
    folder = tmp_path_factory.mktemp("pasted")
    for line in EXAMPLES[1:]:
        assert paste(line, folder).returncode == 0, line
    assert (folder / "copy.txt").read_bytes() == (folder / "large_file.txt").read_bytes()
    return folder


def paste(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """What a shell makes of a line; servers take free ports, and end once they listen."""
    line = line.replace("100MB", "3MB").replace("1GiB", "1MB")
    line = re.sub(r"--(port|first-port) \d+", r"--\1 0", line)
    if line.split()[1] == "keygen" and "--no-password" not in line:
        line += " --no-password"  # nobody is there to type one
    if line.split()[1] in SERVERS:
        port = "" if "port" in line or "cluster" in line else " --port 0"
        line = f"exec {{out}}< <(exec {line}{port}) && grep -qm1 http <&$out && kill $!; wait $!"
    return subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "demo"])
def test_examples_can_be_pasted(name: str, pasted: Path, tmp_path: Path) -> None:
    """In the folder of the overview's examples, as far as they need no host of others."""
    shutil.copytree(pasted, here := tmp_path / "here")
    first = examples_of(name)[:3]
    lines = [line for line in first if not FOREIGN.search(NAMED.sub("", line))]
    assert lines
    for line in lines:
        if name in ("split", "generate"):
            shutil.rmtree(here / "hosted", ignore_errors=True)
            shutil.rmtree(here / "fragments", ignore_errors=True)
        if name in ("get", "generate"):
            (here / "copy.txt").unlink(missing_ok=True)
            (here / "large_file.txt").unlink(missing_ok=True)
        told = paste(line, here)
        assert told.returncode == 0, (line, told.stderr)


@pytest.mark.parametrize("command", COMMANDS)
def test_brackets_of_short_help_are_closed(command: str) -> None:
    text = commands_of(parser_of(command))[command].short_help()
    assert text.count("(") == text.count(")")
