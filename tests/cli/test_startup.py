"""What a command imports: counted, for a clock would tell more of the machine."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

import regather
from tests.support.hosting import Hosting

UNUSED = frozenset(
    (
        *("aiohttp", "asyncio", "rich", "shtab", "zfec", "fsspec", "obstore", "pycurl"),
        *("concurrent.futures", "ctypes", "email.utils", "encodings.idna", "hashlib", "logging"),
        *(
            "multiprocessing",
            "secrets",
            "shutil",
            "ssl",
            "subprocess",
            "tempfile",
            "xml.parsers.expat",
        ),
        *("regather.cli.conf.defaults", "regather.metalink.read", "regather.publisher"),
        *("regather.gateway", "regather.page", "regather.reading", "regather.server"),
        *("regather.splitter", "regather.store.folder"),
        *("regather.sources.mirrors", "regather.upkeep", "typing_extensions"),
        *("cryptography", "regather.sources.signed", "regather.trust", "regather.cli.secret_keys"),
    )
)
"""What a download by a manifest over http needs nothing of."""
MOST = 285
"""Modules that it may import, those of Python included."""
PROGRAM = """
import sys
before = set(sys.modules)
from regather.cli import main
out, sys.stdout = sys.stdout, sys.stderr  # what the command prints is no module
code = main(sys.argv[1:])
sys.stdout = out
print(*sorted(set(sys.modules) - before), sep="\\n")
for name, module in tuple(sys.modules.items()):
    if name.startswith("regather."):
        for kind in vars(module).values():
            if isinstance(kind, type) and hasattr(kind, "__dataclass_fields__"):
                print("dataclass", kind.__module__)
sys.exit(code)
"""

UNHURRIED = PROGRAM.replace("code =", "import regather.cli.progress as p; p._MOMENT = 100; code =")
"""The same, and however busy the machine is, the download counts as a short one."""


def imported(*arguments: str | Path, program: str = PROGRAM, errors: int = PIPE) -> set[str]:
    """The modules that a command imports, beside those that Python starts with."""
    words = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(words, stdout=PIPE, stderr=errors, text=True, timeout=120, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("on_a_terminal", [False, True], ids=["pipe", "terminal"])
def test_a_small_download_imports_no_more_than_it_needs(
    on_a_terminal: bool, hosting: Hosting, tmp_path: Path
) -> None:
    (tmp_path / "tiny").write_bytes(b"a few bytes")
    regather.split(tmp_path / "tiny", tmp_path / "hosted")
    url = f"{hosting.serve(tmp_path / 'hosted').url}tiny.regather.json"
    ends = pty.openpty() if on_a_terminal else ()
    errors = ends[1] if ends else PIPE
    modules = imported("get", url, "-o", tmp_path / "got", program=UNHURRIED, errors=errors)
    for end in ends:
        os.close(end)
    assert (tmp_path / "got").read_bytes() == b"a few bytes"
    assert modules & UNUSED == set()
    assert "dataclass" not in modules, "structs of msgspec take a tenth of the time to define"
    assert len(modules) <= MOST, sorted(modules)


LOOKING = (
    *("ssl", "tempfile", "zfec", "cryptography", "email.utils", "hashlib", "regather.trust"),
    *("regather.coding.codec", "regather.engine", "regather.planner", "regather.sources.signed"),
    *("regather.upkeep.restoration", "typing_extensions"),
)
"""What a look at a manifest that needs no signature needs nothing of."""


@pytest.mark.parametrize(("command", "most"), [("info", 190), ("check", 212)])
def test_a_look_at_a_manifest_imports_no_more_than_it_needs(
    command: str, most: int, tmp_path: Path
) -> None:
    (tmp_path / "tiny").write_bytes(b"a few bytes")
    regather.split(tmp_path / "tiny", tmp_path / "hosted")
    modules = imported(command, tmp_path / "hosted/tiny.regather.json")
    assert modules & set(LOOKING) == set()
    assert len(modules) <= most, sorted(modules)


def test_the_parser_needs_python_alone() -> None:
    program = (
        "import sys\nfrom regather.cli import parser_of\nbefore = set(sys.modules)\nparser_of()\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before}, sep='\\n')"
    )
    modules = imported(program=program)
    assert modules - sys.stdlib_module_names - {"regather"} == set()


def test_the_version_needs_no_command() -> None:
    assert not [m for m in imported("--version") if m.startswith("regather.cli.get")]


def test_import_regather_brings_nothing_else() -> None:
    program = "import sys\nimport regather\nprint(*sys.modules, sep='\\n')"
    mine = {m for m in imported(program=program) if m.startswith("regather")}
    assert mine == {"regather", "regather._version"}


def test_the_version_imports_next_to_nothing() -> None:
    modules = imported("--version")
    assert modules & (UNUSED | {"pathlib", "msgspec", "json", "regather.model"}) == set()
