"""The manual pages are those of the parser, and nothing complains of them."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from docs.man import FOLDER, pages

from regather.cli import parser_of
from regather.cli.commands import COMMANDS
from regather.cli.parsing import commands_of


def test_they_are_current() -> None:
    found = {path.name: path.read_text("utf-8") for path in FOLDER.iterdir()}
    assert found == pages(), "call make reference"


def test_every_command_has_one_with_all_its_options() -> None:
    for name in COMMANDS:
        text = (FOLDER / f"regather-{name}.1").read_text("utf-8").replace("\\-", "-")
        for action in commands_of(parser_of(name))[name]._actions:
            for option in action.option_strings:
                assert f"\\fB{option}\\fR" in text, (name, option)
        assert f".BR regather-{name} (1)" in (FOLDER / "regather.1").read_text().replace("\\-", "-")


@pytest.mark.parametrize(
    "linter", [("mandoc", "-Tlint"), ("groff", "-man", "-Tutf8", "-ww", "-z")], ids=lambda t: t[0]
)
def test_it_is_clean(linter: tuple[str, ...]) -> None:
    if shutil.which(linter[0]) is None:
        pytest.skip(f"no {linter[0]} here (Debian: mandoc, groff)")
    for page in sorted(FOLDER.iterdir()):
        told = subprocess.run([*linter, page], capture_output=True, text=True, check=False)
        assert (told.returncode, told.stdout, told.stderr) == (0, "", ""), page.name


def test_what_roff_would_take_for_its_own(tmp_path: Path) -> None:
    """A backslash, a quote and a dot at the start of a line of help come out as they are."""
    if shutil.which("mandoc") is None:
        pytest.skip("no mandoc here (Debian: mandoc)")
    from docs.man import _lines

    text = "It's ~/.config, a\\b, `x^2` and --long-option"
    page = tmp_path / "x.1"
    page.write_text(
        "\n".join(('.TH X 1 2026-01-01 "x"', ".SH NAME", r"x \- y", ".SH Z", *_lines(text))) + "\n"
    )
    shown = subprocess.run(
        ["mandoc", "-Tascii", page], capture_output=True, text=True, check=True
    ).stdout
    assert text in re.sub(".\b", "", re.sub(r"\s+", " ", shown))
