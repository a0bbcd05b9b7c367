"""regather:// lists what there is, be it broken; a URL that looks like a pattern is none."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import fsspec
import pytest

import regather
from regather.reading.filesystem import RegatherFileSystem
from tests.support.hosting import Hosting
from tests.support.rogue import Rogue, sends

CONTENT = {"a.bin": b"AAA" * 1000, "sub/c.csv.gz": b"CCC" * 999, "sub/deep/d": b""}


@dataclass
class Tree:
    root: str
    store: str
    fs: RegatherFileSystem

    def name(self, file: str) -> str:
        return f"{self.root}/{file}.regather.json"

    @property
    def names(self) -> list[str]:
        return sorted(map(self.name, CONTENT))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Manifests in a folder; the fragments are named ``server*`` folders elsewhere."""
    servers = []
    for number, (name, content) in enumerate(CONTENT.items()):
        original = tmp_path / str(number) / Path(name).name
        original.parent.mkdir()
        original.write_bytes(content)
        regather.split(original, tmp_path / f"out{number}", fragments=1)
        servers.append(str(tmp_path / f"out{number}"))
        made = tmp_path / "tree" / f"{name}.regather.json"
        made.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / f"out{number}" / made.name, made)
    fs = RegatherFileSystem(servers=servers, skip_instance_cache=True)
    return Tree(str(tmp_path / "tree"), servers[0], fs)


def test_sub_folders_are_there(tree: Tree) -> None:
    fs, root = tree.fs, tree.root
    assert fs.ls(root, detail=False) == [tree.name("a.bin"), f"{root}/sub"]
    assert fs.ls(f"{root}/")[1] == {"name": f"{root}/sub", "size": 0, "type": "directory"}
    assert fs.find(root) == fs.glob(f"{root}/**/*.json") == tree.names
    assert fs.find(root, maxdepth=1) == [tree.name("a.bin")]
    assert [folder for folder, _, _ in fs.walk(root)] == [root, f"{root}/sub", f"{root}/sub/deep"]
    assert fs.glob(f"{root}/*") == [tree.name("a.bin"), f"{root}/sub"]
    assert fs.glob(f"{root}/*/") == [f"{root}/sub"]
    assert fs.du(root) == sum(map(len, CONTENT.values()))
    assert set(fs.cat(root, recursive=True, on_error="omit")) == set(tree.names)
    assert fs.isdir(f"{root}/sub")
    assert not fs.isfile(f"{root}/sub")


def test_a_folder_is_copied_whole(tree: Tree, tmp_path: Path) -> None:
    tree.fs.get(tree.root, str(tmp_path / "got"), recursive=True)
    for name, content in CONTENT.items():
        assert (tmp_path / "got" / f"{name}.regather.json").read_bytes() == content


@pytest.mark.parametrize("flaw", ["broken", "dangling link", "a link to itself", "fifo"])
def test_one_bad_manifest_does_not_hide_its_folder(tree: Tree, tmp_path: Path, flaw: str) -> None:
    fs, bad = tree.fs, Path(tree.root, "b.regather.json")
    if flaw == "broken":
        bad.write_text("{}")
    elif flaw == "fifo":
        os.mkfifo(bad)
    else:
        bad.symlink_to("/nonexistent" if flaw == "dangling link" else bad.name)
    assert fs.find(tree.root) == sorted([*tree.names, str(bad)])
    assert fs.glob(f"{tree.root}/*") == [tree.name("a.bin"), str(bad), f"{tree.root}/sub"]
    entry = next(e for e in fs.ls(tree.root) if e["name"] == str(bad))
    assert (entry["size"], entry["type"]) == (None, "file")
    assert entry["error"]
    assert not fs.exists(str(bad))
    with pytest.raises(OSError):
        fs.get(tree.root, str(tmp_path / "got"), recursive=True)


def test_a_folder_that_may_not_be_read(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever copies all that is there must not get a part in silence."""
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path).endswith("/sub"):
            raise PermissionError(errno.EACCES, "not allowed", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)  # root may read everything
    with pytest.raises(PermissionError):
        tree.fs.get(tree.root, str(tmp_path / "got"), recursive=True)
    with pytest.raises(PermissionError):
        tree.fs.cat(tree.root, recursive=True)


def test_what_is_no_manifest(tree: Tree) -> None:
    plain = Path(tree.root, "plain")
    plain.write_text("x")
    assert str(plain) not in tree.fs.ls(tree.root, detail=False)
    for ask in (tree.fs.isdir, tree.fs.isfile, tree.fs.exists):
        assert not ask(str(plain))
    with pytest.raises(OSError):
        tree.fs.info(str(plain))


def test_links_to_folders(tree: Tree, tmp_path: Path) -> None:
    """They are followed, but one that leads back up would be for ever."""
    Path(tree.root, "sub", "up").symlink_to(tree.root)
    Path(tree.root, "self").symlink_to(".")
    (tmp_path / "aside").mkdir()
    shutil.copy(tree.name("a.bin"), tmp_path / "aside")
    Path(tree.root, "linked").symlink_to(tmp_path / "aside")
    linked = f"{tree.root}/linked/a.bin.regather.json"
    assert tree.fs.find(tree.root) == sorted([*tree.names, linked])


def test_a_manifest_is_listed_whose_fragments_are_away(tree: Tree) -> None:
    fs = RegatherFileSystem(skip_instance_cache=True)
    assert fs.ls(tree.root)[0]["size"] == 3000
    with pytest.raises(regather.NotEnoughSourcesError):
        fs.open(tree.name("a.bin"))


@pytest.fixture
def url(tree: Tree) -> Iterator[str]:
    with Hosting() as hosting:
        yield hosting.serve(Path(tree.root)).url


@pytest.mark.parametrize("query", ["?sig=1", "?X=[a]*", ""])
def test_a_url_is_no_pattern(tree: Tree, tmp_path: Path, query: str) -> None:
    manifest = Path(tree.name("a.bin")).read_bytes()
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(manifest)}\r\n\r\n".encode()
    with Rogue(sends(head, manifest)) as server:
        url = f"{server.url}a.bin.regather.json{query}"
        content, fs = CONTENT["a.bin"], tree.fs
        assert fs.cat(url) == content
        assert fs.glob(url) == fs.find(url) == fs.expand_path(url) == [url]
        assert fs.glob(url, detail=True) == {url: fs.info(url)}
        assert fs.cat([url, tree.name("a.bin")]) == {url: content, tree.name("a.bin"): content}
        fs.get(f"regather://{url}", str(tmp_path / "one"))
        assert (tmp_path / "one").read_bytes() == content
        (tmp_path / "into").mkdir()
        fs.get(url, str(tmp_path / "into"))
        fs.get([url], str(tmp_path / "list"))
        name = url.rpartition("/")[2]
        assert os.listdir(tmp_path / "into") == os.listdir(tmp_path / "list") == [name]
        with fsspec.open(f"regather://{url}", servers=[tree.store]) as file:
            assert file.read() == content


def test_the_suffix_may_be_left_out(tree: Tree, url: str) -> None:
    for base in (tree.root, url.rstrip("/")):
        short = f"{base}/sub/c.csv.gz"
        assert tree.fs.cat(short) == CONTENT["sub/c.csv.gz"]
        assert tree.fs.info(short)["name"] == short
        assert tree.fs.exists(short)
        assert not tree.fs.exists(f"{base}/sub/no.csv.gz")
        with pytest.raises(FileNotFoundError):
            tree.fs.info(f"{base}/sub/no.csv.gz")


def test_names(tree: Tree, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fs = tree.fs
    monkeypatch.chdir(tree.root)
    monkeypatch.setenv("HOME", tree.root)
    host = url.removeprefix("http://")
    for name, full in {
        "a.bin.regather.json": tree.name("a.bin"),
        "regather://sub/../a.bin.regather.json": tree.name("a.bin"),
        "~/a.bin.regather.json": tree.name("a.bin"),
        f"file://{tree.name('a.bin')}": tree.name("a.bin"),
        f"regather://{host}a.bin.regather.json": f"{url}a.bin.regather.json",
        f"{tree.root}/": tree.root,
        "regather:///": "/",
        "": tree.root,
    }.items():
        assert fs._strip_protocol(name) == full
        assert fs.info(name)["name"] == full
    assert fs.glob(Path("*.json")) == fs.expand_path((tree.name("a.bin"),)) == [tree.name("a.bin")]
    assert fs.cat(Path("a.bin.regather.json")) == CONTENT["a.bin"]
    assert fs._strip_protocol(Path("a.bin.regather.json")) == tree.name("a.bin")
    assert fs._parent(tree.name("a.bin")) == tree.root
    assert fs._parent("/a.json") == "/"
    assert fs._parent(f"{url}x/a.json") == f"{url}x"
    with pytest.raises(OSError, match="not supported"):
        fs.info("gopher://h/x")
    with pytest.raises(IsADirectoryError):
        fs.open(tree.root)


@pytest.mark.parametrize("end", ["", "/"])
def test_a_server_cannot_be_listed_and_is_not_called_empty(tmp_path: Path, end: str) -> None:
    fs = fsspec.filesystem("regather")
    with Hosting() as hosting:
        url = hosting.serve(tmp_path).url.rstrip("/") + end
        for look in (fs.ls, fs.find, fs.du, lambda place: list(fs.walk(place))):
            with pytest.raises(OSError, match="that is a server, not a manifest"):
                look(url)
