"""The site of docs/: complete, without a broken link, and without a request to another host."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
LOADED = re.compile(r'<(?:script|img|source|iframe)[^>]*\bsrc="([^"]*)"|<link[^>]*\bhref="([^"]*)"')
IN_STYLES = re.compile(r"""url\(["']?(?!data:)([^)"']*)|@import\s+["']([^"']*)""")


def build(source: Path, into: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*(sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-j", "1"), source, into],
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_page_is_in_the_tables_of_the_first() -> None:
    """Sphinx warns of a page that no table of contents has."""
    front = (DOCS / "index.md").read_text("utf-8")
    for page in DOCS.glob("*.md"):
        assert page.stem == "index" or f"]({page.name})" in front, page.name


def test_it_is_whole_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    site = tmp_path / "site"
    built = build(DOCS, site)
    assert (built.returncode, built.stderr) == (0, "")
    assert {f"{page.stem}.html" for page in DOCS.glob("*.md")} <= {p.name for p in site.iterdir()}
    pages, styles = list(site.rglob("*.html")), list(site.rglob("*.css"))
    loaded = [
        (page.name, address)
        for page in pages
        for found in LOADED.findall(page.read_text("utf-8"))
        for address in found
    ]
    loaded += [
        (style.name, address)
        for style in styles
        for found in IN_STYLES.findall(style.read_text("utf-8"))
        for address in found
    ]
    assert len(pages) > 15
    assert any(address.startswith("_static/") for _, address in loaded)
    assert [what for what in loaded if re.match(r"(\w+:)?//", what[1])] == []


BROKEN = {
    "[x](nowhere.md)": "target not found: 'nowhere.md'",
    "[x](other.md#far)": "local id not found in doc 'other': 'far'",
    "[x](#near)": "target not found: 'near'",
    "![x](nowhere.svg)": "image file not readable: nowhere.svg",
    "[x](other.md#a-part)": "",
}


def test_what_is_broken_fails(tmp_path: Path) -> None:
    shutil.copy(DOCS / "conf.py", tmp_path)
    (tmp_path / "other.md").write_text("# Other\n\n## A part\n")
    tree = "# T\n\n```{toctree}\nother\n```\n\n"
    (tmp_path / "index.md").write_text(tree + "\n\n".join(BROKEN))
    built = build(tmp_path, tmp_path / "out")
    assert built.returncode == 1
    told = built.stderr.splitlines()
    assert len(told) == len(BROKEN) - 1
    for text in filter(None, BROKEN.values()):
        assert any(text in line for line in told), (text, told)
