"""The table of guards: true to the code, and its machinery; `make guards` runs all of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tools.guards import PAGE, ROOT, Guard, copy_to, guards, held, page


def test_the_page_has_all_of_them() -> None:
    text = PAGE.read_text("utf-8")
    assert text == page(text), "call python -m tools.guards --table"
    assert len(guards()) >= 30


@pytest.mark.parametrize("guard", guards(), ids=lambda guard: guard.threat)
def test_each_is_in_the_code(guard: Guard) -> None:
    assert (ROOT / guard.file).read_text("utf-8").count(guard.old) == 1
    assert guard.old != guard.new
    assert guard.who in ("source", "network", "author", "user", "client")
    place, _, name = guard.test.partition("::")
    function = re.sub(r"\[.*", "", name)
    assert f"def {function}(" in (ROOT / place).read_text("utf-8")


@pytest.mark.impure
def test_a_guard_that_none_misses_is_found(tmp_path: Path) -> None:
    copy_to(tmp_path)
    test = "tests/trust/test_minisign.py::test_comments"
    real = next(g for g in guards() if g.file == "src/regather/trust/signature.py")
    assert "does not fail" in held(tmp_path, Guard("", "", "", real.file, real.old, real.new, test))
    comment = "src/regather/trust/comment.py"
    gone = Guard("", "", "", comment, "no line of it", "", test)
    with pytest.raises(SystemExit):
        held(tmp_path, gone)
    text = '        return "\\t".join([*fields'
    assert held(tmp_path, Guard("", "", "", comment, text, text.replace("\\t", " "), test)) == ""
