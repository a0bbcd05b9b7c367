"""Every block of code in the documents is run, or checked by what would read it."""

from __future__ import annotations

import functools
import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from regather.cli import parser_of
from regather.errors import UsageError
from regather.server.faults import parse_fault
from tests.docs.blocks import PAGES, ROOT, Block, blocks_of, commands_in
from tests.docs.session import follow, like

FOLLOWED = (
    *("docs/tutorial.md", "docs/howto-plain.md", "docs/howto-pipe.md", "docs/howto-host.md"),
    *("docs/howto-folder.md", "docs/repair.md", "docs/server.md"),
)
"""Pages whose blocks are run in order, in one folder; of the others commands are parsed."""
TOOLS = {
    *(
        "aria2c",
        "aws",
        "b3sum",
        "brew",
        "cat",
        "chmod",
        "cmp",
        "cp",
        "curl",
        "cut",
        "diff",
        "docker",
    ),
    *(
        "docker",
        "echo",
        "git",
        "kill",
        "ls",
        "mkdir",
        "mv",
        "nginx",
        "openssl",
        "pipx",
        "rclone",
        "rm",
    ),
    *("rsync", "scp", "sha256sum", "ssh-keyscan", "sudo", "systemctl", "tar", "uv", ".", "cd"),
    *("eval", "apt-get", "dd", "man", "touch", "minisign", "jq", "wait", "sleep", "truncate"),
}
ELSEWHERE = re.compile(r"\b(?:\w+\.)+example\b|\bexample\.(?:org|com|net)\b|\b(?:s3|gs|az)://")
MADE_FOR_US = re.compile(r"^(?:pip|pipx|uv|make|git) |^\. \.venv", re.MULTILINE)


def by_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=by_name)
def test_blocks_are_understood(page: Path) -> None:
    flaws = [f"{block}: {flaw}" for block in blocks_of(page) if (flaw := _flaw(block))]
    assert not flaws, "\n".join(flaws)


def _flaw(block: Block) -> str:
    """What is wrong with a block, or nothing."""
    try:
        match block.language:
            case _ if block.marker == "unchecked":
                return "" if block.value else "a reason is missing"
            case "sh":
                return _flaw_of_shell(block)
            case "python":
                compile(block.text, str(block), "exec")
            case "json":
                _json(block.text)
            case "toml":
                tomllib.loads(block.text)
            case "text" if block.marker != "output":
                return "text needs a comment before it that says why it is not checked"
            case "text" | "mermaid" | "stop" | "nginx":
                pass
            case "{eval-rst}" | "{toctree}" if block.page.parent.name == "docs":
                pass
            case _:
                return f"no check is known for {block.language!r}"
    except (SyntaxError, ValueError, UsageError) as error:
        return str(error)
    return ""


def _json(text: str) -> None:
    """One document, or one a line."""
    try:
        json.loads(text)
    except ValueError:
        for line in text.splitlines():
            json.loads(line)


def _flaw_of_shell(block: Block) -> str:
    checked = subprocess.run(
        ["bash", "-n"], input=block.text, capture_output=True, text=True, check=False
    )
    if checked.returncode:
        return checked.stderr
    for words in commands_in(block.text):
        while words and re.match(r"\w+=", words[0]):
            del words[0]
        if words and (flaw := _flaw_of(words, block.page.parent)):
            return f"{' '.join(words)}: {flaw}"
    return ""


def _flaw_of(words: list[str], folder: Path) -> str:
    """What is wrong with a command, by the parser that would read it."""
    name, rest = words[0].removeprefix(".venv/bin/"), words[1:]
    if name == "regather":
        if not rest or rest == ["--version"]:
            return ""
        for fault in getattr(parser_of(rest[0]).parse_args(rest), "fault", ()):
            parse_fault(re.sub(r"^\d+:", "", fault) if rest[0] == "cluster" else fault)
    elif name == "make":
        targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
        wrong = [word for word in rest if "=" not in word and word not in ("-B", *targets)]
        return f"no target {wrong[0]}" if wrong else ""
    elif name in ("python", "python3") and rest[:1] == ["-m"]:
        return _flaw_of_module(rest[1], tuple(rest[2:]))
    elif name in ("python", "python3"):
        script = re.sub(r"^\$\w+/", "", rest[0])
        found = script == "-c" or (ROOT / script).is_file() or (folder / script).is_file()
        return "" if found else "no such script"
    elif name == "pip" or (name == "uv" and rest[:1] == ["pip"]):
        project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
        extras = [e for word in rest for m in re.findall(r"\[(.*?)\]", word) for e in m.split(",")]
        wrong = [extra for extra in extras if extra not in project["optional-dependencies"]]
        return f"no extra {wrong[0]}" if wrong else ""
    elif name not in TOOLS:
        return f"{name} is no tool that the documents are known to use"
    return ""


@functools.cache
def _flaw_of_module(name: str, options: tuple[str, ...]) -> str:
    if importlib.util.find_spec(name) is None:
        return f"no module {name}"
    asked = [option.partition("=")[0] for option in options if option.startswith("--")]
    if not asked or not name.startswith(("bench", "tests")):
        return ""
    told = subprocess.run(
        [sys.executable, "-m", name, "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    wrong = [option for option in asked if option not in told]
    return f"no option {wrong[0]}" if wrong else ""


def test_python_is_typed(tmp_path: Path) -> None:
    """By mypy, the blocks of a page one after the other: it knows our API as users see it."""
    for page in PAGES:
        text = ""
        for block in blocks_of(page):
            if block.language == "python" and block.marker != "unchecked":
                text += f"# {block}\n{block.text}\n"
        if text:
            (tmp_path / f"{page.stem.lower()}_page.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file=", "--ignore-missing-imports", tmp_path],
        cwd=ROOT / "src",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", [ROOT / name for name in FOLLOWED], ids=by_name)
def test_a_page_can_be_followed(page: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    blocks = [block for block in blocks_of(page) if _is_run(block)]
    assert blocks
    printed = follow(blocks, folder)
    shown = [block for block in blocks_of(page) if block.language in ("sh", "python", "text")]
    for before, block in pairwise(shown):
        if block.marker == "output":
            out = printed[blocks.index(before)]
            assert like(block.text).fullmatch(out), f"{block} shows another output:\n{out}"


def _is_run(block: Block) -> bool:
    if block.language not in ("sh", "python", "stop") or block.marker in ("parse", "unchecked"):
        return False
    return not ELSEWHERE.search(block.text) and not MADE_FOR_US.search(block.text)


def test_nginx_takes_the_configurations(tmp_path: Path) -> None:
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if nginx is None:
        pytest.skip("no nginx")
    for page in PAGES:
        for block in blocks_of(page):
            if block.language != "nginx" or block.marker == "unchecked":
                continue
            text = re.sub(r"\bssl_certificate(_key)? .*", "", block.text).replace(" ssl;", ";")
            config = tmp_path / "nginx.conf"
            config.write_text(
                f"pid {tmp_path}/pid; error_log stderr; events {{}}\n"
                f"http {{ access_log off; {text} }}\n"
            )
            done = subprocess.run(
                [nginx, "-t", "-c", config], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{block}: {done.stderr}"
