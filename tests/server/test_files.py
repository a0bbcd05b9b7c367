from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest

from regather.errors import RegatherError, UsageError
from regather.server.files import Root, UnfitName
from tests.support.steps import assert_linear


def read(root: Root, target: str) -> bytes:
    file = root.open(target)
    try:
        return os.read(file.descriptor, 1 << 20)
    finally:
        file.close()


def test_a_folder_that_is_itself_a_link_is_followed(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(folder)
    assert read(Root(tmp_path / "link"), "/sub/deeper/nested.dat") == b"nested"


def test_the_root_of_all_files_can_be_served(folder: Path) -> None:
    assert read(Root(Path("/")), f"{folder.resolve()}/sub/deeper/nested.dat") == b"nested"


def test_a_file_under_its_own_name_and_as_the_root(folder: Path, content: bytes) -> None:
    root = Root(folder / "file.dat")
    assert read(root, "/") == read(root, "/file.dat") == content
    for other in ("/file.dat/", "/file.dat.gz", "/sub/deeper/nested.dat", "//", "/../file.dat"):
        with pytest.raises(FileNotFoundError):
            root.open(other)


def test_a_file_the_user_named_may_be_hidden(folder: Path) -> None:
    assert read(Root(folder / ".hidden"), "/.hidden") == b"secret"


def test_a_date_beyond_what_http_can_say(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "far.dat"
    path.write_bytes(b"x")
    for seconds, date in ((2**33, "Wed, 16 Mar 2242"), (-5, "Thu, 01 Jan 1970")):
        os.utime(path, (0, seconds))
        file = Root(tmp_path).open("/far.dat")
        file.close()
        assert file.version.validators["Last-Modified"].startswith(date)


def test_tags_tell_versions_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    tags = set()
    for text, nanoseconds in ((b"x", 1), (b"x", 2), (b"xy", 2)):
        path.write_bytes(text)
        os.utime(path, ns=(0, nanoseconds))
        file = Root(tmp_path).open("/a.dat")
        file.close()
        tags.add(file.version.tag)
    assert len(tags) == 3


def test_what_cannot_be_served(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="no such"):
        Root(folder / "nothing")
    with pytest.raises(UsageError, match="no such"):
        Root(folder / "file.dat" / "x")
    with pytest.raises(UsageError, match="neither"):
        Root(folder / "pipe.dat")

    def denied(*_: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "scandir", denied)
    monkeypatch.setattr(os, "open", denied)
    for path in (folder, folder / "file.dat"):
        with pytest.raises(RegatherError, match="Permission denied") as caught:
            Root(path)
        assert caught.value.exit_code == 1


def test_a_link_that_appears_after_the_check_is_not_followed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = Root(folder)
    monkeypatch.setattr(os.path, "realpath", lambda path: path)  # what a lost race looks like
    with pytest.raises(OSError, match="symbolic links"):
        root.open("/out.dat")


def test_a_folder_that_becomes_a_link_after_the_check_is_not_followed(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may rename folders in there must not be able to show what lies elsewhere."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "link").symlink_to(outside)
    root = Root(folder)
    monkeypatch.setattr(os.path, "realpath", lambda path: path)
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        with pytest.raises(NotADirectoryError):
            root.open("/deep/er/link/secret")
    assert len(os.listdir("/dev/fd")) == before


@pytest.mark.parametrize("piece", ["a/", "/", "../", "%41/", "%2e%2e/", "%", "a", "%2F", "./"])
@pytest.mark.parametrize("start", ["/", "/sub/deeper/", "/link/", "/file.dat/"])
def test_long_paths_cost_no_more_than_their_length(
    piece: str, start: str, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "sub" / "deeper").mkdir(parents=True)
    (tmp_path / "link").symlink_to("sub")
    (tmp_path / "file.dat").touch()
    root = Root(tmp_path)

    def look(count: int) -> None:
        with contextlib.suppress(OSError):
            root.open(start + piece * count).close()
        with contextlib.suppress(OSError, UnfitName):
            root.place(start + piece * count, make=False).close()

    assert_linear(look, 400)
    assert_linear(look, 4000)


def test_links_are_not_looked_for_in_a_path_that_no_file_can_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To look for them costs as many steps as there are names, each as long as all of them."""
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to("sub")
    looked: list[str] = []
    lstat = os.lstat

    def look(path: str) -> os.stat_result:
        looked.append(path)
        return lstat(path)

    monkeypatch.setattr(os, "lstat", look)
    root = Root(tmp_path)
    looked.clear()
    for count, some in ((1, True), (3000, False)):
        with pytest.raises(FileNotFoundError):
            root.open("/link/" + "a/" * count + "a")
        assert bool(looked) is some
        looked.clear()
