"""Look for known vulnerabilities in what is pinned: ``make audit``.

Ends with 1 where there are some. Where their database is not reachable, or knows nothing of what is
pinned, as a mirror of an index may, that is told as skipped: it says nothing of the packages.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec


class Vulnerability(msgspec.Struct):
    """One of a package, as pip-audit tells it."""

    id: str
    fix_versions: list[str] = []


class Package(msgspec.Struct):
    """What is known of a package."""

    name: str
    version: str = ""
    vulns: list[Vulnerability] = []
    skip_reason: str = ""


class Report(msgspec.Struct):
    """What pip-audit prints with ``-f json``."""

    dependencies: list[Package]


def told(where: str, output: bytes, errors: str) -> tuple[list[str], bool]:
    """The lines on a file with pins, and whether any of its packages is vulnerable."""
    try:
        packages = msgspec.json.decode(output, type=Report).dependencies
    except msgspec.DecodeError:
        why = (errors.strip().splitlines() or ["no answer"])[-1]
        return [f"{where}: skipped: no database of vulnerabilities ({why})"], False
    known = [package for package in packages if not package.skip_reason]
    lines = [
        f"{where}: {package.name} {package.version}: {flaw.id}, "
        f"fixed in {', '.join(flaw.fix_versions) or 'no version'}"
        for package in known
        for flaw in package.vulns
    ]
    vulnerable = bool(lines)
    if known and not vulnerable:
        lines = [f"{where}: no known vulnerability in {len(known)} packages"]
    if unknown := len(packages) - len(known):
        lines.append(f"{where}: skipped: the database does not know {unknown} of the packages")
    return lines, vulnerable


def run(files: Sequence[str]) -> int:
    """Audit files with pins; return 1 where a package is vulnerable."""
    tool = Path(sys.executable).with_name("pip-audit")
    options = ("--require-hashes", "--disable-pip", "--progress-spinner", "off", "-f", "json")
    found = False
    for file in files:
        done = subprocess.run([tool, *options, "-r", file], capture_output=True, check=False)
        lines, vulnerable = told(file, done.stdout, done.stderr.decode("utf-8", "replace"))
        found |= vulnerable
        print(*lines, sep="\n", flush=True)
    return int(found)


if __name__ == "__main__":
    raise SystemExit(run(sys.argv[1:]))
