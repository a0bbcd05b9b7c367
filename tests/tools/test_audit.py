"""What `make audit` makes of what pip-audit prints."""

from __future__ import annotations

import pytest
from tools.audit import told

GOOD = b'{"dependencies": [{"name": "a", "version": "1", "vulns": []}], "fixes": []}'
BAD = (
    b'{"dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": '
    b'["2"], "aliases": [], "description": ""}]}, {"name": "b", "skip_reason": "unknown"}]}'
)
NONE = b'{"dependencies": [{"name": "b", "skip_reason": "unknown"}]}'


@pytest.mark.parametrize(
    ("output", "errors", "lines", "vulnerable"),
    [
        (GOOD, "", ["x: no known vulnerability in 1 packages"], False),
        (
            BAD,
            "",
            [
                "x: a 1: CVE-1, fixed in 2",
                "x: skipped: the database does not know 1 of the packages",
            ],
            True,
        ),
        (NONE, "", ["x: skipped: the database does not know 1 of the packages"], False),
        (b"", "line\nno route", ["x: skipped: no database of vulnerabilities (no route)"], False),
    ],
    ids=["good", "vulnerable", "unknown", "unreachable"],
)
def test_what_is_told(output: bytes, errors: str, lines: list[str], vulnerable: bool) -> None:
    assert told("x", output, errors) == (lines, vulnerable)
