"""No folder from elsewhere may lead out of where it is put, or cost much to refuse."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import regather
from regather.errors import ManifestError
from regather.folder import MAX_ENTRIES, Entry, Folder, flaw_of_path, flaw_of_target
from regather.folder.document import FolderFlaw, folder_of
from tests.support.trees import make_tree

HASH = "ab" * 32


@pytest.mark.parametrize(
    "path",
    [
        *("/etc/passwd", "..", "../x", "a/../b", "a/..", ".", "./a", "a/.", "a//b", "a/", "//a"),
        *("a\\b", "a\nb", "a\x1b[2J", "\x7f", "a\x85", "a\0", "x" * 256, "é" * 128),
        *("d/" * 200 + "x", ("y" * 250 + "/") * 20 + "z", "\ud800", ".regather-part"),
        *(".regather-part/journal", ".Regather-PART/0"),
    ],
)
def test_paths_that_are_refused(path: str) -> None:
    assert flaw_of_path(path)


@pytest.mark.parametrize(
    "path",
    ["a", "a/b", "...", ".git/x", "a..b/c", " ", "größe/ß", "-rf", "x" * 255, "d/" * 199 + "x"],
)
def test_paths_that_may_be(path: str) -> None:
    assert flaw_of_path(path) == ""


@pytest.mark.parametrize(
    ("path", "target"),
    [
        *(("l", "/etc/passwd"), ("l", ".."), ("l", "../x"), ("d/l", "../.."), ("d/l", "../../x")),
        *(("l", ""), ("l", "a/../.."), ("l", "a/.."), ("d/l", "../a/../b"), ("l", "a\nb")),
        *(("l", "./.."), ("l", "x" * 256), ("l", "a\\b"), ("d/l", ".././../x")),
    ],
)
def test_links_that_are_refused(path: str, target: str) -> None:
    assert flaw_of_target(path, target)


@pytest.mark.parametrize(
    ("path", "target"),
    [("l", "a"), ("l", "a/b"), ("d/l", "../a"), ("d/e/l", "../.."), ("l", "."), ("l", "./a/")],
)
def test_links_that_may_be(path: str, target: str) -> None:
    assert flaw_of_target(path, target) == ""


_names = st.sampled_from(["a", "b", "c"])
_steps = st.lists(st.one_of(_names, st.just(".."), st.just(".")), min_size=1, max_size=6)


@settings(deadline=None)
@given(
    st.dictionaries(
        st.lists(_names, min_size=1, max_size=3).map("/".join), _steps.map("/".join), max_size=8
    )
)
def test_no_chain_of_links_leads_out(links: dict[str, str]) -> None:
    """Whatever links lead through others: the kernel's way through them stays inside."""
    kept: dict[str, str] = {}
    folders: set[str] = set()
    for path, target in links.items():
        above = [path[:at] for at, c in enumerate(path) if c == "/"]
        if flaw_of_target(path, target) or path in folders or any(a in kept for a in above):
            continue
        folders.update(above)
        kept[path] = target

    def follow(path: list[str], turns: int = 0) -> None:
        """Resolve name by name, as the kernel does."""
        at: list[str] = []
        left = list(reversed(path))
        while left:
            part = left.pop()
            if part == "..":
                assert at, f"{path} leads out by {kept}"
                at.pop()
            elif part not in (".", ""):
                at.append(part)
                target = kept.get("/".join(at))
                if target is not None:
                    turns += 1
                    if turns > 40:
                        return  # ELOOP
                    at.pop()
                    left += reversed(target.split("/"))

    for path in kept:
        follow(path.split("/"))


# -- documents --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    root = tmp_path_factory.mktemp("made")
    make_tree(root / "tree", large=2000, small=2)
    regather.split(root / "tree", root / "out")
    return (root / "out" / "tree.regather.json").read_bytes()


def changed(document: bytes, change: Any) -> bytes:
    """The document, changed, with a digest that fits what it then says."""
    value = json.loads(document)
    change(value["folder"]["entries"])
    data = json.dumps(value).encode()
    try:
        entries = tuple(Entry(**entry) for entry in value["folder"]["entries"])
        value["folder"]["digest"] = Folder(entries).identity(value["digest"])
        data = json.dumps(value).encode()
    except (TypeError, ValueError, KeyError, struct.error):
        pass  # what cannot be hashed is refused before
    return data


def at(entries: list[dict[str, Any]], path: str) -> dict[str, Any]:
    return next(e for e in entries if e["path"] == path)


CHANGES: dict[str, Any] = {
    "is listed twice": lambda e: e.append(dict(e[0])),
    "is absolute": lambda e: e[0].update(path="/a.bin"),
    "folder reference": lambda e: e[0].update(path="deep/../../a.bin"),
    "control character": lambda e: e[0].update(path="a\n.bin"),
    "unfinished downloads": lambda e: e[0].update(path=".regather-part"),
    "not a folder, or comes after it": lambda e: e.reverse(),
    "its parent is not a folder": lambda e: e.append(dict(e[0], path="a.bin/x")),
    "overlaps": lambda e: at(e, "deep/er/b.bin").update(offset=0),
    "after the end": lambda e: at(e, "größe mit leer.txt").update(offset=10**6),
    "$.folder.entries[0].mode": lambda e: e[0].update(mode="4755"),
    "entries[0].mode": lambda e: e[0].update(mode=420),
    "has no mode": lambda e: e[0].pop("mode"),
    "has no blake3": lambda e: e[0].pop("blake3"),
    "entries[0].size": lambda e: e[0].update(size=2**62),
    ".offset": lambda e: e[0].update(offset=-1),
    ".mtime": lambda e: e[0].update(mtime=2**53),
    ".kind": lambda e: e[0].update(kind="device"),
    ".path": lambda e: e[0].update(path=""),
    "points out of": lambda e: at(e, "latest").update(target="../x"),
    "absolute path": lambda e: at(e, "latest").update(target="/etc"),
    "points nowhere": lambda e: at(e, "latest").pop("target"),
    "is a file, and has a target": lambda e: e[0].update(target="x"),
    "is a folder, and has content": lambda e: at(e, "deep").update(size=1),
    "link, and has a mode": lambda e: at(e, "latest").update(mode="777"),
    "is empty, and has an offset": lambda e: at(e, "deep/empty").update(offset=512),
}


@pytest.mark.parametrize("says", CHANGES)
def test_documents_that_are_refused(document: bytes, says: str) -> None:
    with pytest.raises(ManifestError, match=r"^x\.json: ") as caught:
        regather.Manifest.from_bytes(changed(document, CHANGES[says]), "x.json")
    assert says in caught.value.what
    assert caught.value.what.isprintable()


def test_what_is_written_is_read_again(document: bytes) -> None:
    manifest = regather.Manifest.from_bytes(document)
    assert manifest.folder is not None
    assert manifest.to_bytes() == document
    assert manifest.digest != manifest.content_digest == json.loads(document)["digest"]
    assert regather.Manifest.from_bytes(changed(document, lambda e: None)) == manifest
    value = json.loads(document)
    value["folder"]["later"] = value["folder"]["entries"][0]["later"] = {"unknown": 1}
    assert regather.Manifest.from_bytes(json.dumps(value).encode()) == manifest


@pytest.mark.parametrize(
    "change",
    [
        lambda e: e[0].update(path="b.bin"),
        lambda e: e[0].update(mode="777"),
        lambda e: e[0].update(mtime=5),
        lambda e: e[0].pop("mtime"),
        lambda e: e[0].update(size=e[0]["size"] - 1),
        lambda e: e[0].update(offset=e[0]["offset"] - 1),
        lambda e: e[0].update(blake3=HASH),
        lambda e: at(e, "latest").update(target="deep"),
        lambda e: at(e, "nothing").update(mode="755"),
        lambda e: e.pop(),
        lambda e: e.append({"path": "more", "kind": "folder", "mode": "755"}),
    ],
)
def test_the_digest_pins_everything(document: bytes, change: Any) -> None:
    before = regather.Manifest.from_bytes(document).digest
    assert regather.Manifest.from_bytes(changed(document, change)).digest != before
    value = json.loads(document)
    change(value["folder"]["entries"])
    with pytest.raises(ManifestError, match="does not match its entries"):
        regather.Manifest.from_bytes(json.dumps(value).encode())


@pytest.mark.parametrize(
    "folder",
    [
        "null",
        "[]",
        "7",
        '"x"',
        "{}",
        '{"digest": 1}',
        '{"entries": []}',
        '{"digest":"","entries":[]}',
    ]
    + [f'{{"digest": "{HASH}", "entries": {e}}}' for e in ("[1]", "[[]]", "{}", '["a"]')]
    + ["[" * 3000 + "]" * 3000],
)
def test_other_shapes(document: bytes, folder: str) -> None:
    head = document[: document.index(b',\n "folder"')]
    with pytest.raises(ManifestError, match=r"folder|recursion"):
        regather.Manifest.from_bytes(head + b',"folder":' + folder.encode() + b"}")


def test_too_many_entries_are_refused_before_they_are_made() -> None:
    raw = (
        b'{"digest":"%s","entries":[' % HASH.encode() + b'{"path":"a"},' * MAX_ENTRIES + b"{},{}]}"
    )
    import msgspec

    with pytest.raises(FolderFlaw, match="more than"):
        folder_of(msgspec.Raw(raw), HASH, 0)


def test_names_that_clash_elsewhere() -> None:
    def clashes(*paths: str) -> list[tuple[str, str]]:
        return list(Folder(tuple(Entry(p, "folder", "755") for p in paths)).clashes())

    assert clashes("README", "Readme", "x") == [("README", "Readme")]
    assert clashes("u\u0308", "\u00fc") == [("u\u0308", "\u00fc")]
    assert clashes("straße", "STRASSE") == [("straße", "STRASSE")]
    assert clashes("a", "b", "a/b") == []


def test_an_older_reader_gets_the_packed_file(document: bytes) -> None:
    """What does not know folders takes the manifest for that of one file, a tar."""
    value = json.loads(document)
    del value["folder"]
    manifest = regather.Manifest.from_bytes(json.dumps(value).encode())
    assert manifest.digest == value["digest"]
    assert manifest.folder is None
