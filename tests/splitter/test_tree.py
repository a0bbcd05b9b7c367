"""Folders as they are read: refused in one line where they cannot be put together again."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

import regather
from regather.errors import RegatherError, UsageError
from regather.splitter.input_file import original_of
from tests.support.small import small_pieces
from tests.support.trees import make_tree, told

QUICK = regather.Settings(sync=False)


def test_the_manifest_tells_all(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", large=20_000, small=5)
    with small_pieces():
        manifest = regather.split(tree, tmp_path / "out", fragments=3)
    assert manifest.folder is not None
    found = told(tree)
    assert [e.path for e in manifest.folder.entries] == sorted(found, key=lambda p: p.split("/"))
    packed = b"".join((tmp_path / "out" / f"file_fragment_{n}.dat").read_bytes() for n in (1, 2, 3))
    for entry in manifest.folder.entries:
        kind, bits, mtime, content = found[entry.path]
        assert entry.kind == kind
        if isinstance(content, bytes):
            assert (entry.bits, entry.mtime) == (bits, mtime)
            assert entry.blake3 == blake3(content).hexdigest()
            assert packed[entry.offset : entry.end] == content
        else:
            assert entry.target == content
    assert manifest.folder.size == sum(len(c) for _, _, _, c in found.values() if type(c) is bytes)
    (tmp_path / "untarred").mkdir()
    subprocess.run(["tar", "xf", "-", "-C", tmp_path / "untarred"], input=packed, check=True)
    assert told(tmp_path / "untarred" / "tree") == found


@pytest.mark.parametrize("parity", [0, 2])
@pytest.mark.parametrize("files", [0, 1])
def test_the_smallest(tmp_path: Path, parity: int, files: int) -> None:
    (tmp_path / "tree").mkdir()
    for number in range(files):
        (tmp_path / "tree" / str(number)).write_bytes(b"")
    regather.split(tmp_path / "tree", tmp_path / "out", parity=parity)
    report = regather.download(str(tmp_path / "out" / "tree.regather.json"), tmp_path / "dest")
    assert told(tmp_path / "dest") == told(tmp_path / "tree")
    assert report.files == files


_NAME = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="/\\"))
_NAMES = _NAME.filter(lambda n: n not in ("", ".", "..") and len(n.encode()) < 80)
_LEAVES = st.one_of(st.binary(max_size=6000), st.sampled_from(["a", "b/c", ".", "gone"]))
_TREES = st.recursive(
    st.dictionaries(_NAMES, _LEAVES, max_size=4),
    lambda inner: st.dictionaries(_NAMES, st.one_of(_LEAVES, inner), max_size=4),
    max_leaves=12,
)


def put(folder: Path, tree: object, modes: Callable[[], int]) -> None:
    """Make what ``tree`` says: bytes are files, texts are links, dictionaries are folders."""
    assert isinstance(tree, dict)
    folder.mkdir()
    for name, what in tree.items():
        if isinstance(what, bytes):
            (folder / name).write_bytes(what)
            (folder / name).chmod(modes() | 0o400)
        elif isinstance(what, str):
            (folder / name).symlink_to(what)
        else:
            put(folder / name, what, modes)
            (folder / name).chmod(modes() | 0o700)


@settings(deadline=None, max_examples=25)
@given(_TREES, st.data(), st.integers(0, 2), st.integers(-(2**31), 10**10))
def test_any_tree_comes_back(tree: object, data: st.DataObject, parity: int, mtime: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        put(root / "tree", tree, lambda: data.draw(st.integers(0, 0o777)))
        for path in (root / "tree").rglob("*"):
            if not path.is_symlink():
                os.utime(path, (mtime, mtime))
        with small_pieces():
            regather.split(root / "tree", root / "out", parity=parity)
        for number in range(parity):
            (root / "out" / f"file_fragment_{number + 1}.dat").unlink(missing_ok=True)
        manifest = root / "out" / "tree.regather.json"
        regather.download(str(manifest), root / "dest", settings=QUICK)
        assert told(root / "dest") == told(root / "tree")
        again = regather.download(str(manifest), root / "dest", settings=QUICK)
        assert again.received == 0
        whole = told(root / "tree")
        if whole:
            one = data.draw(st.sampled_from(sorted(whole)))
            regather.download(str(manifest), root / "some", select=[one], settings=QUICK)
            above = {one[:at] for at, letter in enumerate(one) if letter == "/"}
            assert told(root / "some") == {
                p: what
                for p, what in whole.items()
                if p == one or p in above or p.startswith(f"{one}/")
            }


# -- what is refused --------------------------------------------------------------------------


def _socket(tree: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        # Its path must be short.
        before = os.getcwd()
        os.chdir(tree)
        server.bind("odd")
        os.chdir(before)


REFUSED: dict[str, Callable[[Path], object]] = {
    "odd: is neither a file nor a folder": _socket,
    "pipe: is neither a file nor a folder": lambda t: os.mkfifo(t / "pipe"),
    "points to an absolute path ('/etc/passwd')": lambda t: (t / "l").symlink_to("/etc/passwd"),
    "points out of the folder ('../x')": lambda t: (t / "l").symlink_to("../x"),
    "holds a path separator": lambda t: (t / "a\\b").touch(),
    "holds a control character": lambda t: (t / "a\nb").touch(),
    "has a name that is not UTF-8": lambda t: os.mkdir(os.fsencode(t) + b"/\xff"),
    "belongs to an unfinished download": lambda t: (t / ".regather-part").mkdir(),
}


@pytest.mark.parametrize("says", REFUSED)
def test_what_cannot_be_put_together_again(tmp_path: Path, says: str) -> None:
    tree = make_tree(tmp_path / "tree", large=10, small=0)
    REFUSED[says](tree)
    with pytest.raises(UsageError) as caught:
        regather.publish(tree, tmp_path / "out")
    assert says in caught.value.what
    assert caught.value.what.isprintable()
    assert not (tmp_path / "out").exists()


def test_places_inside_of_it(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", large=10, small=0)
    (tmp_path / "way").symlink_to("tree")
    for inside in (tree, tree / "out", tmp_path / "way" / "deep", tmp_path / "x" / ".." / "tree"):
        with pytest.raises(UsageError, match="inside the source folder"):
            regather.publish(tree, inside)
        with pytest.raises(UsageError, match="inside the source folder"):
            regather.split(tree, inside)
    regather.publish(tree, tmp_path / "tree2")


def test_links_followed(tmp_path: Path) -> None:
    """As the caches of models are: a folder of links to where the content is."""
    store = tmp_path / "blobs"
    store.mkdir()
    (store / "1234").write_bytes(b"weights")
    (store / "more").mkdir()
    (store / "more" / "x").write_bytes(b"x")
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").symlink_to("../blobs/1234")
    (tmp_path / "model" / "more").symlink_to("../blobs/more")
    with pytest.raises(UsageError, match="--follow-links"):
        regather.publish(tmp_path / "model", tmp_path / "out")
    report = regather.publish(tmp_path / "model", tmp_path / "out", follow_links=True)
    regather.download(report.manifests[0], tmp_path / "dest")
    assert {p: t[3] for p, t in told(tmp_path / "dest").items()} == {
        "weights.bin": b"weights",
        "more": "",
        "more/x": b"x",
    }
    (store / "more" / "round").symlink_to("../../model")
    with pytest.raises(UsageError, match="is a link to a folder that contains it"):
        regather.publish(tmp_path / "model", tmp_path / "out2", follow_links=True)
    (store / "more" / "round").unlink()
    (store / "more" / "gone").symlink_to("nowhere")
    with pytest.raises(UsageError, match="gone: is a link that leads nowhere"):
        regather.publish(tmp_path / "model", tmp_path / "out2", follow_links=True)


def test_names_that_clash_are_told(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    for name in ("README", "readme", "Readme", "other"):
        (tmp_path / "tree" / name).write_text(name)
    report = regather.publish(tmp_path / "tree", tmp_path / "out")
    assert any("ignore case" in line and "1 more pair" in line for line in report.warnings)
    regather.download(report.manifests[0], tmp_path / "dest")
    assert told(tmp_path / "dest") == told(tmp_path / "tree")


def _grow(tree: Path) -> None:
    with (tree / "a.bin").open("ab") as file:
        file.write(b"more")


def _swap(tree: Path) -> None:
    (tree / "new").write_bytes((tree / "a.bin").read_bytes())
    (tree / "new").rename(tree / "a.bin")


CHANGED: dict[str, Callable[[Path], object]] = {
    "a.bin: changed": _grow,
    "a.bin: changed ": _swap,
    "deep/empty: changed": lambda t: (t / "deep" / "empty").write_bytes(b"x"),
    "deep: changed": lambda t: (t / "deep" / "new").mkdir(),
    "tree: changed": lambda t: (t / "new").touch(),
    "secret: changed": lambda t: (t / "deep" / "secret").unlink(),
}


@pytest.mark.parametrize("says", CHANGED)
@pytest.mark.parametrize("parity", [0, 1])
def test_a_folder_that_changes_meanwhile(tmp_path: Path, says: str, parity: int) -> None:
    tree = make_tree(tmp_path / "tree", small=3)
    done: list[int] = []

    def change(have: int, size: int) -> None:
        if not done:
            done.append(have)
            CHANGED[says](tree)

    for publish in (regather.publish, regather.split):
        done.clear()
        with pytest.raises(RegatherError) as caught:
            publish(tree, tmp_path / "out", parity=parity, on_progress=change, force=True)
        assert says.strip() in caught.value.what
        assert caught.value.exit_code == 1
        assert not list(tmp_path.glob("out/*.json"))
        if not says.startswith("a.bin"):
            break  # it cannot be done twice


def test_it_is_read_as_one_file(tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree", large=5000, small=3)
    with original_of(tree) as original:
        whole = memoryview(bytearray(original.size))
        assert original.read(0, whole) == original.size
        assert original.read(original.size, whole) == 0
        assert original.read(original.size - 3, memoryview(bytearray(9))) == 3
        for at in range(0, original.size, 777):
            view = memoryview(bytearray(777))
            count = original.read(at, view)
            assert view[:count] == whole[at : at + 777]


CODE = """
import os, re, sys, regather
regather.split(sys.argv[1], sys.argv[2], parity=1)
regather.download(sys.argv[2] + "/tree.regather.json", sys.argv[3],
    settings=regather.Settings(sync=False))
print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
print(len(os.listdir("/proc/self/fd")))
"""


def test_thousands_of_small_files_cost_little(tmp_path: Path) -> None:
    """Two thousand files with few open at a time; the manifest stays small."""
    for number in range(2000):
        if number % 100 == 0:
            (tmp_path / "tree" / str(number)).mkdir(parents=True)
        path = tmp_path / "tree" / str(number // 100 * 100) / f"{number}.txt"
        path.write_bytes(number.to_bytes(2, "big") * 2048)
    limited = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)){CODE}"
    arguments = [str(tmp_path / name) for name in ("tree", "out", "dest")]
    ended = subprocess.run(
        [sys.executable, "-c", limited, *arguments],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    assert told(tmp_path / "dest") == told(tmp_path / "tree")
    peak, open_files = map(int, ended.stdout.split())
    assert peak < 150 * 1024, "KiB at most"
    assert open_files < 10
    assert (tmp_path / "out" / "tree.regather.json").stat().st_size < 2000 * 200
    assert (
        len(
            regather.Manifest.from_bytes(
                (tmp_path / "out" / "tree.regather.json").read_bytes()
            ).layout.fragments
        )
        == 4
    )


@pytest.mark.parametrize(
    ("target", "says"), [("nowhere", "leads nowhere"), ("l", "points to itself")]
)
def test_links_that_cannot_be_followed(tmp_path: Path, target: str, says: str) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "l").symlink_to(target)
    with pytest.raises(regather.UsageError, match=says):
        regather.split(tmp_path / "tree", tmp_path / "out", follow_links=True)


def test_a_path_that_is_too_deep_is_told_shortened(tmp_path: Path) -> None:
    deep = tmp_path / "tree"
    for _ in range(205):
        deep /= "folder"
    deep.mkdir(parents=True)
    with pytest.raises(regather.UsageError, match="more than 200 folders deep") as caught:
        regather.split(tmp_path / "tree", tmp_path / "out")
    assert len(caught.value.line) < 500
