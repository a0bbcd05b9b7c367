"""The commands whose calls are made to fail, on small files and folders."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import regather
from regather.cluster import Cluster
from tests.oserrors.harness import Work
from tests.support.files import random_file

SIZE = 300_000


def _tree(folder: Path) -> None:
    (folder / "deep").mkdir(parents=True)
    random_file(folder / "a.bin", 100_000)
    random_file(folder / "deep" / "b.bin", 50_000, seed=2)
    (folder / "empty").touch()
    (folder / "link").symlink_to("a.bin")


def _contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and ".regather-part" not in str(path)
    }


@contextmanager
def works(base: Path) -> Iterator[list[Work]]:
    """All of them, with a server in a process of its own."""
    original = random_file(base / "f.bin", SIZE)
    content = original.read_bytes()
    regather.split(original, base / "split", fragments=2, parity=1, piece_size=65536)
    _tree(base / "tree")
    regather.split(base / "tree", base / "packed", fragments=2, parity=1, piece_size=65536)
    (base / "hosted" / "server1").mkdir(parents=True)
    for path in [*(base / "split").iterdir(), original]:
        (base / "hosted" / "server1" / path.name).write_bytes(path.read_bytes())
    tree = _contents(base / "tree")
    digest = hashlib.sha256(content).hexdigest()

    def file_wrong(folder: Path, code: int) -> str:
        path = folder / "x"
        if path.exists():
            return "" if path.read_bytes() == content else "wrong bytes under the final name"
        return "" if code else "nothing was written, and the exit code is 0"

    def folder_wrong(folder: Path, code: int) -> str:
        found = _contents(folder / "x") if (folder / "x").exists() else {}
        if any(tree.get(name) != data for name, data in found.items()):
            return "wrong bytes under a final name"
        return "" if code or found == tree else "something is missing, and the exit code is 0"

    def hosted_wrong(folder: Path, code: int) -> str:
        """Whatever manifest stands there, its file can be got."""
        manifests = list(folder.rglob("*.regather.json"))
        if not code and not manifests:
            return "there is no manifest, and the exit code is 0"
        if manifests and not code:
            places = {str(path.parent) for path in folder.rglob("*.dat")}
            report = regather.check(str(manifests[0]), servers=sorted(places), read_data=1.0)
            return "" if not report.lost else "what was written is not whole"
        return ""

    with Cluster([base / "hosted" / "server1"]) as cluster:
        url = cluster.urls[0]
        packed = str(base / "packed" / "tree.regather.json")
        yield [
            Work(
                "get from a folder",
                lambda d: ["get", str(base / "split" / "f.bin.regather.json"), "-o", str(d / "x")],
                file_wrong,
            ),
            Work(
                "get by a manifest",
                lambda d: ["get", f"{url}f.bin.regather.json", "-o", str(d / "x")],
                file_wrong,
            ),
            Work(
                "get by a checksum",
                lambda d: ["get", f"{url}f.bin", "--sha256", digest, "-o", str(d / "x")],
                file_wrong,
            ),
            Work("get a folder", lambda d: ["get", packed, "-o", str(d / "x")], folder_wrong),
            Work(
                "split",
                lambda d: [
                    *("split", str(original), "--out", str(d / "out")),
                    *("--fragments", "2", "--parity", "1"),
                ],
                hosted_wrong,
            ),
            Work(
                "split a folder",
                lambda d: ["split", str(base / "tree"), "--out", str(d / "out")],
                hosted_wrong,
            ),
            Work(
                "publish",
                lambda d: [
                    *("publish", str(original), "--to", str(d / "1"), "--to", str(d / "2")),
                    *("--fragments", "1", "--parity", "1"),
                ],
                hosted_wrong,
            ),
        ]
