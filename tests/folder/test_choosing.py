"""Some of the files of a folder."""

from __future__ import annotations

import pytest

from regather.folder import Entry, Folder, chosen

PATHS = ("a.txt", "b.txt", "d/", "d/a.txt", "d/e/", "d/e/c.bin", "d/[1].txt", "f/", "f/c.bin")
FOLDER = Folder(
    tuple(Entry(p.rstrip("/"), "folder" if p.endswith("/") else "file", "755") for p in PATHS)
)


@pytest.mark.parametrize(
    ("patterns", "means"),
    [
        (["a.txt"], "a.txt"),
        (["*/a.txt"], "d/ d/a.txt"),
        (["*.bin"], "d/ d/e/ d/e/c.bin f/ f/c.bin"),
        (["d"], "d/ d/a.txt d/e/ d/e/c.bin d/[1].txt"),
        (["d/e/"], "d/ d/e/ d/e/c.bin"),
        (["d/e"], "d/ d/e/ d/e/c.bin"),
        (["?"], " ".join(PATHS[2:])),
        (["d/[1].txt"], "d/ d/[1].txt"),
        (["a.txt", "f"], "a.txt f/ f/c.bin"),
        (["*"], " ".join(PATHS)),
    ],
)
def test_patterns(patterns: list[str], means: str) -> None:
    assert chosen(FOLDER, patterns) == {PATHS.index(path) for path in means.split()}


@pytest.mark.parametrize(
    ("patterns", "without", "means"),
    [
        ([], ["d"], "a.txt b.txt f/ f/c.bin"),
        ([], ["*.bin", "b.txt"], "a.txt d/ d/a.txt d/e/ d/[1].txt f/"),
        (["d"], ["d/e/"], "d/ d/a.txt d/[1].txt"),
        (["*.bin"], ["f"], "d/ d/e/ d/e/c.bin"),
        (["a.txt"], ["nothing"], "a.txt"),
    ],
)
def test_what_is_left_out(patterns: list[str], without: list[str], means: str) -> None:
    assert chosen(FOLDER, patterns, without) == {PATHS.index(path) for path in means.split()}


@pytest.mark.parametrize(("patterns", "without"), [([], ["*"]), (["d/e"], ["d"])])
def test_nothing_is_left(patterns: list[str], without: list[str]) -> None:
    with pytest.raises(KeyError):
        chosen(FOLDER, patterns, without)


@pytest.mark.parametrize("pattern", ["c.txt", "", "/", "../a.txt", "A.TXT", "a.txt/x", "x*"])
def test_what_means_nothing(pattern: str) -> None:
    with pytest.raises(KeyError, match=r"."):
        chosen(FOLDER, ["a.txt", pattern])
